// What every generated program needs and no program decides: bytes to numbers and back, hashes, and how a frame
// comes out of and goes back into a socket buffer. The generated C defines IN_OCTETS, OUT_OCTETS and
// SCRATCH_OCTETS and includes this.
//
// "The frame" is what is on the wire. The kernel keeps an outer VLAN tag beside the bytes (skb->vlan_tci): here it
// is put back to its place before the parser sees the frame, and taken out again afterwards.

#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;

#define TC_ACT_SHOT 2
#define DROP_PORT 511
#define PORTS 512
#define PORT_SLOTS 1024

#define EALREADY 114
#define ETH_OCTETS 14
#define ETH_MACS 12
#define TAG_OCTETS 4
#define MAX_TAGS 3
#define TAGGED_FRONT (ETH_MACS + TAG_OCTETS * MAX_TAGS + 2)
_Static_assert(IN_OCTETS >= TAGGED_FRONT, "codegen: the runtime looks at all tags");
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define ETH_P_8021Q 0x8100
#define ETH_P_8021AD 0x88A8
#define IPV4_OCTETS 20
#define IPV6_OCTETS 40
#define SHORTEST (ETH_OCTETS + IPV4_OCTETS)
#define IP_PROTO_UDP 17
// Since Linux 6.3; older headers do not have it.
#define ADJ_ROOM_DECAP_L3_IPV6 (1ull << 8)

struct frame {
	u32 length;   // of the frame as it came, in bytes
	u32 loaded;   // bytes of it in `in`
	u32 parsed;   // bytes that the parser took
	u32 replaced; // of them, those in whose place `out` goes; what is behind them nobody changed
	u32 emitted;  // bytes in `out`
	u32 tags;     // VLAN tags at the front
	bool odd;     // the kernel's idea of where its headers are cannot be relied on
	u64 packets;  // on the wire; a segmentation offload frame is several
	u8 in[IN_OCTETS + TAG_OCTETS];
	u8 out[OUT_OCTETS + TAG_OCTETS];
	u8 scratch[SCRATCH_OCTETS] __attribute__((aligned(8)));
};

struct counter_cell {
	u64 packets;
	u64 octets;
};

struct port_slot {
	u32 interface;
	u32 port;
};

// Interface to port, in the slot of the index' lowest bits: an array is inlined where a hash is a call.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PORT_SLOTS);
	__type(key, u32);
	__type(value, struct port_slot);
} port_by_slot SEC(".maps");

// Those whose slot another port has.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PORTS);
	__type(key, u32);
	__type(value, u32);
} port_by_interface SEC(".maps");

struct way_out {
	u32 interface;
	u32 straight;  // a frame may start at the other end of this veth pair: links.py
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PORTS);
	__type(key, u32);
	__type(value, struct way_out);
} interface_by_port SEC(".maps");

// Frames lost here and not by the program, by reason; tc.py has the names.
enum loss { LOST_SHORT, LOST_TAGS, LOST_PORT, LOST_HEADERS, LOST_REWRITE, LOST_MTU, LOSSES };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LOSSES);
	__type(key, u32);
	__type(value, u64);
} losses SEC(".maps");

static __always_inline int lost(u32 reason)
{
	u64 *frames = bpf_map_lookup_elem(&losses, &reason);
	if (frames)
		__sync_fetch_and_add(frames, 1);
	return TC_ACT_SHOT;
}

#include "numbers.h"

// ---- counters ---------------------------------------------------------------------------------------------

static __always_inline void count(void *counter, u32 index, const struct frame *f)
{
	struct counter_cell *cell = bpf_map_lookup_elem(counter, &index);
	if (cell) {
		__sync_fetch_and_add(&cell->packets, f->packets);
		__sync_fetch_and_add(&cell->octets, f->length);
	}
}

// How many packets this is on the wire. After a header was added or removed the kernel counts the segments of an
// offload frame anew only when it next has to; until then they are worked out from the size.
static __always_inline u64 packets_in(struct __sk_buff *skb, const struct frame *f)
{
	u32 segments = skb->gso_segs;
	u32 segment = skb->gso_size;
	if (segments)
		return segments;
	// The parser has read up to the ports of the transport header; 32 bytes are such a header with timestamps.
	u32 headers = f->parsed + 32;
	if (!segment || f->length <= headers)
		return 1;
	return (f->length - headers + segment - 1) / segment;
}

// ---- a frame out of the socket buffer ----------------------------------------------------------------------

// Bytes of the socket buffer; `most` is constant. False where they are not there or more than that.
static __always_inline bool load(struct __sk_buff *skb, u32 from, u8 *to, u32 octets, u32 most)
{
	if (octets > most)
		return false;
	octets = opaque(octets);
	return !octets || !bpf_skb_load_bytes(skb, from, to, octets);
}

static __always_inline bool store(struct __sk_buff *skb, u32 at, const u8 *from, u32 octets, u32 most)
{
	if (octets > most)
		return false;
	octets = opaque(octets);
	return !octets || !bpf_skb_store_bytes(skb, at, from, octets, BPF_F_RECOMPUTE_CSUM);
}

// The first bytes of the socket buffer, at most IN_OCTETS: those in its linear part word by word, which is less work than
// the helper's memcpy(), the others by the helper.
static __always_inline bool load_front(struct __sk_buff *skb, u8 *to, u32 octets)
{
	const u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	u32 done = 0;
#pragma unroll
	for (u32 at = 0; at < IN_OCTETS; at += 8) {
		if (data + at + 8 > end)
			break;
		*(u64 *)(to + at) = *(const u64 *)(data + at);
		done = at + 8;
	}
	return done >= octets || load(skb, done, to + done, octets - done, IN_OCTETS);
}

static __always_inline u32 port_of(u32 interface)
{
	u32 index = interface % PORT_SLOTS;
	struct port_slot *slot = bpf_map_lookup_elem(&port_by_slot, &index);
	if (slot && slot->interface == interface)
		return slot->port;
	u32 *port = bpf_map_lookup_elem(&port_by_interface, &interface);
	return port ? *port : 0;
}

static __always_inline bool is_tag(u32 ether_type)
{
	return ether_type == ETH_P_8021Q || ether_type == ETH_P_8021AD;
}

// Fills `in` with the first bytes of the frame, an outer tag back in its place. False: lost, and counted.
static __always_inline bool receive(struct __sk_buff *skb, struct frame *f)
{
	u32 tag = skb->vlan_present ? TAG_OCTETS : 0;
	f->length = skb->len + tag;
	f->parsed = f->replaced = 0;
	f->odd = false;
	f->tags = 0;
	if (skb->len < ETH_OCTETS) {
		lost(LOST_SHORT);
		return false;
	}
	f->loaded = f->length < IN_OCTETS ? f->length : IN_OCTETS;
	// Behind the place of the tag, where there is one; then the MAC addresses move up in front of it.
	if (!load_front(skb, f->in + tag, f->loaded - tag))
		return false;
	if (tag) {
		u64 first = *(u64 *)(f->in + TAG_OCTETS);
		u32 second = *(u32 *)(f->in + TAG_OCTETS + 8);
		*(u64 *)f->in = first;
		*(u32 *)(f->in + 8) = second;
		put_be16(f->in + ETH_MACS, bpf_ntohs(skb->vlan_proto));
		put_be16(f->in + ETH_MACS + 2, skb->vlan_tci);
	}
#pragma unroll
	for (u32 i = 0; i <= MAX_TAGS; i++) {
		u32 type_at = ETH_MACS + TAG_OCTETS * i;
		// A tag without the EtherType behind it is payload.
		if (f->tags == i && type_at + TAG_OCTETS + 2 <= f->length && type_at + 2 <= IN_OCTETS &&
		    is_tag(be16(f->in + type_at)))
			f->tags = i + 1;
	}
	return true;
}

// ---- headers into the output buffer --------------------------------------------------------------------------

// Room for a header; NULL where the buffer is full.
static __always_inline u8 *emit(struct frame *f, u32 octets)
{
	u32 at = f->emitted;
	if (at > OUT_OCTETS - octets)
		return NULL;
	f->emitted = at + octets;
	return f->out + at;
}

// Tags that the kernel takes out of the frame and `out` does not replace go over as they are.
static __always_inline bool emit_unparsed_tags(struct frame *f)
{
	u32 front = ETH_MACS + TAG_OCTETS * f->tags + 2;
	if (!f->tags || f->replaced >= front)
		return true;
	for (u32 i = 0; i < TAGGED_FRONT; i++) {
		if (i < f->replaced || i >= front)
			continue;
		u8 *p = emit(f, 1);
		if (!p)
			return false;
		*p = f->in[i];
	}
	f->replaced = front;
	return true;
}

// ---- the frame back into the socket buffer -------------------------------------------------------------------

static __always_inline bool is_ip(u32 protocol)
{
	return protocol == bpf_htons(ETH_P_IP) || protocol == bpf_htons(ETH_P_IPV6);
}

// Takes all tags out, wherever the kernel keeps them. Popping one makes the kernel lift the next out of the bytes; it
// says that the pop failed where that one is cut off, and then has popped all the same.
static __always_inline bool pop_tags(struct __sk_buff *skb, const struct frame *f)
{
#pragma unroll
	for (u32 i = 0; i < MAX_TAGS; i++)
		if (i < f->tags)
			bpf_skb_vlan_pop(skb);
	return !skb->vlan_present && skb->len == f->length - TAG_OCTETS * f->tags;
}

// What the kernel has to know of an IP/UDP encapsulation of an Ethernet frame to segment it later. `bytes` are
// the new headers, `grown` of them in front of the old Ethernet header.
//
// No helper makes the kernel forget it again. For TCP that does no harm. A UDP super-frame (UDP_SEGMENT) that was
// encapsulated by one switch and decapsulated by another, on the same machine and never segmented between, is taken
// for a tunnel by the receiving stack and lost: there, turn tx-udp-segmentation off where it starts (ethtool -K).
static __always_inline u64 encapsulation(struct __sk_buff *skb, const u8 *bytes, u32 grown)
{
	u32 inner_type_at = grown + ETH_MACS;
	if (inner_type_at > OUT_OCTETS - 2)
		return 0;
	if (*(const u16 *)(bytes + inner_type_at) != (u16)skb->protocol)
		return 0;
	u64 inner = BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_OCTETS);
	if (grown > IPV4_OCTETS + ETH_OCTETS && be16(bytes + ETH_MACS) == ETH_P_IP &&
	    bytes[ETH_OCTETS] == 0x45 && bytes[ETH_OCTETS + 9] == IP_PROTO_UDP)
		return inner | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;
	if (grown > IPV6_OCTETS + ETH_OCTETS && be16(bytes + ETH_MACS) == ETH_P_IPV6 &&
	    bytes[ETH_OCTETS + 6] == IP_PROTO_UDP)
		return inner | BPF_F_ADJ_ROOM_ENCAP_L3_IPV6;
	return 0;
}

// Makes `grown` bytes of room at the front. Large segments stay large.
static __always_inline long grow(struct __sk_buff *skb, struct frame *f, const u8 *bytes, u32 old, u32 grown)
{
	if (old >= ETH_OCTETS && is_ip(skb->protocol)) {
		u64 flags = encapsulation(skb, bytes, grown);
		long error = bpf_skb_adjust_room(skb, grown, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO | flags);
		if (error == -EALREADY)
			error = bpf_skb_adjust_room(skb, grown, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
		return error;
	}
	f->odd = true;
	return bpf_skb_change_head(skb, grown, 0);
}

// Makes the kernel read the EtherType at the front of the bytes again. Nothing sets skb->protocol directly, but a
// tag that goes from the bytes to its place beside them does: two are put on, which leaves one in the bytes, and
// taken off again.
static __always_inline long reread_protocol(struct __sk_buff *skb, struct frame *f)
{
	f->odd = true;
	u16 tag_type = bpf_htons(ETH_P_8021Q);
	return bpf_skb_vlan_push(skb, tag_type, 1) || bpf_skb_vlan_push(skb, tag_type, 1) ||
	       bpf_skb_vlan_pop(skb) || bpf_skb_vlan_pop(skb);
}

// Takes `change` (negative) bytes out behind the Ethernet header.
static __always_inline long take_out(struct __sk_buff *skb, const u8 *bytes, s32 change)
{
	long error = -1;
	// Newer kernels learn here that IPv6 came out of IPv4; the others in reread_protocol().
	if (be16(bytes + ETH_MACS) == ETH_P_IPV6 && skb->protocol == bpf_htons(ETH_P_IP))
		error = bpf_skb_adjust_room(skb, change, BPF_ADJ_ROOM_MAC,
					    BPF_F_ADJ_ROOM_FIXED_GSO | ADJ_ROOM_DECAP_L3_IPV6);
	if (error)
		error = bpf_skb_adjust_room(skb, change, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
	return error;
}

// The kernel leaves no frame shorter than SHORTEST. Where it lets us, such a frame gets padding only for the moment;
// else, when it has been through a tunnel of this machine's before, it keeps the padding, as on a real wire.
static __always_inline long take_out_of_short(struct __sk_buff *skb, struct frame *f, const u8 *bytes, u32 old, u32 left)
{
	s32 change = (s32)left - (s32)old;
	u32 missing = SHORTEST - (skb->len + change);
	if (!bpf_skb_change_tail(skb, skb->len + missing, 0)) {
		long error = take_out(skb, bytes, change);
		return error ? error : bpf_skb_change_tail(skb, skb->len - missing, 0);
	}
	__builtin_memset(f->scratch, 0, SHORTEST);
	if (!load(skb, old, f->scratch, skb->len - old, SHORTEST))
		return -1;
	long error = take_out(skb, bytes, change + (s32)missing);
	if (error)
		return error;
	return store(skb, left, f->scratch, SHORTEST - left, SHORTEST) ? 0 : -1;
}

// Takes room out at the front, so that `left` bytes of headers are left. The kernel does that to IP frames only.
static __always_inline long shrink(struct __sk_buff *skb, struct frame *f, const u8 *bytes, u32 old, u32 left)
{
	u16 ip = bpf_htons(ETH_P_IP);
	if (left < ETH_OCTETS || old > skb->len)
		return -1;
	if (!is_ip(skb->protocol) &&
	    (bpf_skb_store_bytes(skb, ETH_MACS, &ip, sizeof(ip), BPF_F_RECOMPUTE_CSUM) || reread_protocol(skb, f)))
		return -1;
	if (skb->len - old + left < SHORTEST)
		return take_out_of_short(skb, f, bytes, old, left);
	return take_out(skb, bytes, (s32)left - (s32)old);
}

// Puts `out` in the place of the bytes that it replaces and sends the frame out of `port`.
static __always_inline int transmit(struct __sk_buff *skb, struct frame *f, u32 port)
{
	struct way_out *out = bpf_map_lookup_elem(&interface_by_port, &port);
	if (!out || !out->interface)
		return lost(LOST_PORT);
	if (f->tags > MAX_TAGS)
		return lost(LOST_TAGS);
	if (!emit_unparsed_tags(f))
		return lost(LOST_HEADERS);

	if (f->tags && !pop_tags(skb, f))
		return lost(LOST_REWRITE);
	u32 old = f->replaced - TAG_OCTETS * f->tags;
	u32 octets = f->emitted;
	u32 tag_type = be16(f->out + ETH_MACS);
	u32 tag = be16(f->out + ETH_MACS + 2);
	bool tagged = octets >= ETH_MACS + TAG_OCTETS && is_tag(tag_type);
	u8 *bytes = f->out;
	if (tagged) {
		// The kernel keeps the outer tag beside the bytes: the MAC addresses move up to what is behind it.
		u64 first = *(u64 *)f->out;
		u32 second = *(u32 *)(f->out + 8);
		*(u64 *)(f->out + TAG_OCTETS) = first;
		*(u32 *)(f->out + TAG_OCTETS + 8) = second;
		bytes += TAG_OCTETS;
		octets -= TAG_OCTETS;
	}

	long error = 0;
	if (octets > old)
		error = grow(skb, f, bytes, old, octets - old);
	else if (octets < old)
		error = shrink(skb, f, bytes, old, octets);
	if (error)
		return lost(LOST_REWRITE);

	if (!store(skb, 0, bytes, octets, OUT_OCTETS))
		return lost(LOST_REWRITE);
	// Segmentation, checksums and filters on the way out go by it.
	u32 type = be16(bytes + ETH_MACS);
	if (octets >= ETH_OCTETS && skb->protocol != bpf_htons(type) && !is_tag(type) && reread_protocol(skb, f))
		return lost(LOST_REWRITE);
	if (tagged && bpf_skb_vlan_push(skb, bpf_htons(tag_type), tag))
		return lost(LOST_REWRITE);
	if (out->straight && !f->odd) {
		// Nobody else looks at the length on this way.
		u32 mtu = 0;
		if (!skb->gso_size && bpf_check_mtu(skb, out->interface, &mtu, 0, 0))
			return lost(LOST_MTU);
		return bpf_redirect_peer(out->interface, 0);
	}
	return bpf_redirect(out->interface, 0);
}

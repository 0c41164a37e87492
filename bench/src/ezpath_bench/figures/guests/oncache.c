// A cache in front of the overlay, in the manner of ONCache (NSDI 2025): what the overlay once put around a frame to a
// destination is put around every later one, and what comes in goes straight to its container. Open vSwitch sees the
// first frame each way.
//
//   container -> from_container            -> uplink   a known destination: the remembered outer header; else to OVS
//                OVS -> to_wire (uplink)              remembers the outer header that OVS has put on
//   uplink    -> from_wire                 -> container  a known destination: header off, into its namespace; else OVS
//                OVS -> to_container                   remembers where OVS delivers
//
// One tenant and no filters, as the overlay it stands in front of here: no cache of verdicts, which ONCache has. UPLINK
// is an interface's index, VNI the tenant's.

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define TC_ACT_UNSPEC (-1)
#define TC_ACT_SHOT 2
#define ETH_OCTETS 14
#define MAC_OCTETS 6
#define GROWN 50
#define UDP 17
#define VXLAN_PORT 4789
#define DESTINATIONS 1024
#define ENCAPSULATED \
	(BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP | \
	 BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_OCTETS))

struct inner {
	__u8 to[MAC_OCTETS];
	__u8 rest[ETH_OCTETS - MAC_OCTETS];
};

struct outer {
	__u8 macs[2 * MAC_OCTETS];
	__be16 type;
	__u8 version, tos;
	__be16 octets, id, fragment;
	__u8 ttl, protocol;
	__be16 checksum;
	__be16 addresses[4];
	__be16 source_port, port, udp_octets, udp_checksum;
	__be32 flags, vni;
} __attribute__((packed));

struct frame {
	struct outer outer;
	struct inner inner;
} __attribute__((packed));

_Static_assert(sizeof(struct outer) == GROWN, "an outer header's octets");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DESTINATIONS);
	__type(key, __u8[MAC_OCTETS]);
	__type(value, struct outer);
} outers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DESTINATIONS);
	__type(key, __u8[MAC_OCTETS]);
	__type(value, __u32);
} containers SEC(".maps");

static __always_inline int is_overlays(const struct outer *outer)
{
	return outer->type == bpf_htons(0x0800) && outer->version == 0x45 && outer->protocol == UDP &&
	       outer->port == bpf_htons(VXLAN_PORT) && outer->vni == bpf_htonl(VNI << 8);
}

static __always_inline __be16 checksum_of(const struct outer *outer)
{
	__u32 sum = ((outer->version << 8) | outer->tos) + bpf_ntohs(outer->octets) + bpf_ntohs(outer->id) +
		    bpf_ntohs(outer->fragment) + ((outer->ttl << 8) | outer->protocol);
	for (int i = 0; i < 4; i++)
		sum += bpf_ntohs(outer->addresses[i]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return bpf_htons(~sum & 0xffff);
}

SEC("tc")
int from_container(struct __sk_buff *skb)
{
	struct frame frame;
	if (bpf_skb_load_bytes(skb, 0, &frame.inner, sizeof(frame.inner)))
		return TC_ACT_UNSPEC;
	const struct outer *known = bpf_map_lookup_elem(&outers, frame.inner.to);
	if (!known)
		return TC_ACT_UNSPEC;
	__u32 hash = bpf_get_hash_recalc(skb);
	// what cannot be grown, ARP for one, is the overlay's
	if (bpf_skb_adjust_room(skb, GROWN, BPF_ADJ_ROOM_MAC, ENCAPSULATED))
		return TC_ACT_UNSPEC;
	frame.outer = *known;
	frame.outer.octets = bpf_htons(skb->len - ETH_OCTETS);
	frame.outer.udp_octets = bpf_htons(skb->len - ETH_OCTETS - 20);
	frame.outer.source_port = bpf_htons(32768 | (hash & 0x7fff));
	frame.outer.checksum = checksum_of(&frame.outer);
	if (bpf_skb_store_bytes(skb, 0, &frame, sizeof(frame), 0))
		return TC_ACT_SHOT;
	return bpf_redirect(UPLINK, 0);
}

SEC("tc")
int to_wire(struct __sk_buff *skb)
{
	struct frame frame;
	if (bpf_skb_load_bytes(skb, 0, &frame, sizeof(frame)) || !is_overlays(&frame.outer))
		return TC_ACT_UNSPEC;
	if (!bpf_map_lookup_elem(&outers, frame.inner.to))
		bpf_map_update_elem(&outers, frame.inner.to, &frame.outer, BPF_NOEXIST);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int from_wire(struct __sk_buff *skb)
{
	struct frame frame;
	if (bpf_skb_load_bytes(skb, 0, &frame, sizeof(frame)) || !is_overlays(&frame.outer))
		return TC_ACT_UNSPEC;
	const __u32 *way_in = bpf_map_lookup_elem(&containers, frame.inner.to);
	if (!way_in)
		return TC_ACT_UNSPEC;
	if (bpf_skb_adjust_room(skb, -GROWN, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) ||
	    bpf_skb_store_bytes(skb, 0, &frame.inner, sizeof(frame.inner), 0))
		return TC_ACT_SHOT;
	return bpf_redirect_peer(*way_in, 0);
}

SEC("tc")
int to_container(struct __sk_buff *skb)
{
	struct inner inner;
	if (bpf_skb_load_bytes(skb, 0, &inner, sizeof(inner)))
		return TC_ACT_UNSPEC;
	__u32 way_in = skb->ifindex;
	if (!bpf_map_lookup_elem(&containers, inner.to))
		bpf_map_update_elem(&containers, inner.to, &way_in, BPF_NOEXIST);
	return TC_ACT_UNSPEC;
}

char license_text[] SEC("license") = "GPL";

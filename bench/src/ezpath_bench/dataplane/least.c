// The least that two switches in series have to do to one tunnel: a tag off and 50 constant bytes on, and back. No
// table, no parser, no monitor. What this machine's kernel cannot do with it, no program can.
//
// VID and WAY_OUT (an interface's index) are defined for each switch and direction.

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define TC_ACT_SHOT 2
#define ETH_P_8021Q 0x8100
#define ETH_OCTETS 14
#define GROWN 50
#define ENCAPSULATED \
	(BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP | \
	 BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_OCTETS))

struct outer {
	__u8 macs[12];
	__be16 type;
	__u8 ip[20];
	__be16 udp[4];
	__u8 vxlan[8];
} __attribute__((packed));

SEC("encap")
int put_on(struct __sk_buff *skb)
{
	__u8 inner[ETH_OCTETS];
	if (!skb->vlan_present || (skb->vlan_tci & 0xfff) != VID || bpf_skb_load_bytes(skb, 0, inner, sizeof(inner)) ||
	    bpf_skb_vlan_pop(skb))
		return TC_ACT_SHOT;
	if (bpf_skb_adjust_room(skb, GROWN, BPF_ADJ_ROOM_MAC, ENCAPSULATED) &&
	    bpf_skb_adjust_room(skb, GROWN, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return TC_ACT_SHOT;
	__u16 octets = skb->len - ETH_OCTETS;
	struct outer outer = {
		.macs = { 2, 0, 0, 0, 255, 2, 2, 0, 0, 0, 255, 1 },
		.type = bpf_htons(0x0800),
		.ip = { 0x45, 0, octets >> 8, octets, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 255, 0, 1, 10, 255, 0, 2 },
		.udp = { bpf_htons(49152), bpf_htons(4789), bpf_htons(octets - 20), 0 },
		.vxlan = { 8, 0, 0, 0, 0, 0x13, 0x89, 0 },
	};
	struct {
		struct outer outer;
		__u8 inner[ETH_OCTETS];
	} __attribute__((packed)) all = { .outer = outer };
	__builtin_memcpy(all.inner, inner, sizeof(inner));
	if (bpf_skb_store_bytes(skb, 0, &all, sizeof(all), 0))
		return TC_ACT_SHOT;
	return bpf_redirect_peer(WAY_OUT, 0);
}

SEC("decap")
int take_off(struct __sk_buff *skb)
{
	__u8 inner[ETH_OCTETS];
	if (bpf_skb_load_bytes(skb, GROWN, inner, sizeof(inner)) ||
	    bpf_skb_adjust_room(skb, -GROWN, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) ||
	    bpf_skb_store_bytes(skb, 0, inner, sizeof(inner), 0) ||
	    bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), VID))
		return TC_ACT_SHOT;
	return bpf_redirect_peer(WAY_OUT, 0);
}

char license_text[] SEC("license") = "GPL";

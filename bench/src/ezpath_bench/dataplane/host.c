// What OVS does on a host, for the two ends of the benchmark: a tag on what leaves, none on what arrives. And a sink:
// the frames of a blast end here, whatever they went through.
//
// VID is defined where the host tags; 0 where it does not.

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define TC_ACT_OK 0
#define TC_ACT_SHOT 2
#define ETH_P_8021Q 0x8100
#define ETH_P_IP 0x0800
#define BLAST_PORT_AT 36
#define BLAST_PORT 10000

SEC("egress")
int push(struct __sk_buff *skb)
{
	return VID && bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), VID) ? TC_ACT_SHOT : TC_ACT_OK;
}

SEC("ingress")
int pop(struct __sk_buff *skb)
{
	__u16 port = 0;
	if (VID && (!skb->vlan_present || (skb->vlan_tci & 0xfff) != VID || bpf_skb_vlan_pop(skb)))
		return TC_ACT_SHOT;
	if (skb->protocol == bpf_htons(ETH_P_IP) && !bpf_skb_load_bytes(skb, BLAST_PORT_AT, &port, sizeof(port)) &&
	    port == bpf_htons(BLAST_PORT))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

char license_text[] SEC("license") = "GPL";

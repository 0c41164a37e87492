// The cables between guests: what a server's NIC does by itself and a guest's cannot, and the way between their taps.
//
// A guest's NIC cannot segment tagged TCP. So in the guest `untag` takes the tag off and sends the frame out by a second
// NIC that is kept for that tag, and outside `tag` puts it on again: VID. `retag` exchanges a tag, where cards can segment
// tagged TCP. `pass` is a plain wire. WAY_OUT is an interface's index.

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define TC_ACT_OK 0
#define TC_ACT_SHOT 2
#define ETH_P_8021Q 0x8100

SEC("untag")
int untag_frame(struct __sk_buff *skb)
{
	if (!skb->vlan_present)
		return TC_ACT_OK;
	return bpf_skb_vlan_pop(skb) ? TC_ACT_SHOT : bpf_redirect(WAY_OUT, 0);
}

SEC("tag")
int tag_frame(struct __sk_buff *skb)
{
	return bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), VID) ? TC_ACT_SHOT : bpf_redirect(WAY_OUT, 0);
}

SEC("retag")
int retag_frame(struct __sk_buff *skb)
{
	if (skb->vlan_present &&
	    (bpf_skb_vlan_pop(skb) || bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), VID)))
		return TC_ACT_SHOT;
	return bpf_redirect(WAY_OUT, 0);
}

SEC("pass")
int pass_frame(struct __sk_buff *skb)
{
	return bpf_redirect(WAY_OUT, 0);
}

char license_text[] SEC("license") = "GPL";

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* tc programs on the host side of each pod's veth: from_pod judges what the pod sends, to_pod what it is sent. */
#include "lib/icmp.h"
#include "lib/link.h"
#include "lib/verdict.h"

/* Headers and claimed sender of a packet that the pod sent. Returns 0 or a drop reason. */
INLINE int receive_from_pod(struct hook *h)
{
	int reason = parse_link(h);

	if (!reason)
		reason = check_source(h);
	if (!reason)
		reason = parse_ports(h->skb, &h->packet);
	return reason;
}

SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	struct hook h = {};
	struct ct_entry *entry;
	int reason;

	if (!start_hook(&h, skb, POLICY_EGRESS))
		return drop(&h, DROP_ENDPOINT_NOT_READY);
	h.origin = ORIGIN_POD;
	reason = receive_from_pod(&h);
	if (reason)
		return reason == PASS_LINK ? pass_link(&h) : drop(&h, reason);
	if (unlikely(h.packet.kind != PACKET_FLOW))
		return h.packet.kind == PACKET_LINK ? link_from_pod(&h) : stateless_from_pod(&h);
	h.source_is_a = ct_key_of(&h.packet, &h.key);
	entry = current_entry(&h);
	if (unlikely(!entry)) {
		reason = decide_packet(&h);
		if (reason)
			return drop(&h, reason);
		entry = bpf_map_lookup_elem(&conntrack, &h.key);
		if (!entry)
			return drop(&h, DROP_CT_FULL);
	}
	return forward_from_pod(&h, entry);
}

SEC("tc")
int to_pod(struct __sk_buff *skb)
{
	return TC_ACT_OK;
}

char _license[] SEC("license") = "Dual BSD/GPL";

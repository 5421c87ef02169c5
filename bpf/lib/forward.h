/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where an allowed packet goes: into a pod of this node, or to the node's stack. */
#pragma once
#include "count.h"
#include "hook.h"
#include <linux/pkt_cls.h>

#define TTL_OFFSET (ETH_HLEN + offsetof(struct iphdr, ttl))

/* One hop less, as the node's stack would do. False if the headers cannot be written. */
INLINE bool decrement_hops(struct __sk_buff *skb, __u8 family)
{
	if (family == 4) {
		struct iphdr *ip = header(skb, ETH_HLEN, sizeof(*ip));
		__u32 check;

		if (!ip)
			return false;
		/* RFC 1624: the 16-bit word that holds the TTL goes down by 0x0100, so the complement sum goes up */
		check = bpf_ntohs(ip->check) + 0x0100;
		ip->check = bpf_htons(check + (check >= 0xffff));
		ip->ttl--;
	} else {
		struct ipv6hdr *ip = header(skb, ETH_HLEN, sizeof(*ip));

		if (!ip)
			return false;
		ip->hop_limit--;
	}
	return true;
}

INLINE bool write_macs(struct __sk_buff *skb, const struct endpoint *to)
{
	struct ethhdr *eth = header(skb, 0, sizeof(*eth));

	if (!eth)
		return false;
	__builtin_memcpy(eth->h_dest, to->pod_mac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, to->host_mac, ETH_ALEN);
	return true;
}

/* From a pod: straight into the receiver's namespace if it is a pod of this node, else to the stack. */
INLINE int deliver(struct hook *h)
{
	const struct packet *p = &h->packet;
	const struct endpoint *to = bpf_map_lookup_elem(&endpoint_addrs, &p->destination);

	count_packet(FORWARDED, POLICY_EGRESS, p->length);
	/* the stack answers what has no hop left; anyone else on this node is behind the stack */
	if (!to || p->hops <= 1)
		return TC_ACT_OK;
	if (!decrement_hops(h->skb, p->family) || !write_macs(h->skb, to))
		return TC_ACT_OK; /* to_pod of the receiver decides again */
	count_packet(FORWARDED, POLICY_INGRESS, p->length);
	return bpf_redirect_peer(to->ifindex, 0);
}

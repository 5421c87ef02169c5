/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ICMP that is not echo: errors about a connection pass with it, everything else by its own policy. */
#pragma once
#include "link.h"
#include "verdict.h"

#define ICMP_HEADER 8
#define PORTS 8 /* what an error carries at least of the inner transport header */

/* The inner packet's ends, as far as ct_key_of() needs them. False: not of a kind that is tracked. */
INLINE bool parse_inner_ports(struct __sk_buff *skb, struct packet *inner, __u32 offset)
{
	union {
		struct udphdr ports; /* TCP and SCTP begin alike */
		struct icmp_message icmp;
	} head;

	if (bpf_skb_load_bytes(skb, offset, &head, PORTS))
		return false;
	if (has_ports(inner->protocol)) {
		inner->source_port = head.ports.source;
		inner->destination_port = head.ports.dest;
		return true;
	}
	if (inner->protocol != (inner->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return false;
	if (head.icmp.type == (inner->family == 4 ? ICMP_ECHO : ICMPV6_ECHO_REQUEST))
		inner->source_port = head.icmp.id;
	else if (head.icmp.type == (inner->family == 4 ? ICMP_ECHOREPLY : ICMPV6_ECHO_REPLY))
		inner->destination_port = head.icmp.id;
	else
		return false;
	return true;
}

INLINE bool parse_inner(const struct hook *h, struct packet *inner)
{
	__u32 offset = h->packet.l4_offset + ICMP_HEADER;
	struct ipv6hdr ip6;
	struct iphdr ip;

	inner->family = h->packet.family;
	if (inner->family == 4) {
		if (bpf_skb_load_bytes(h->skb, offset, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5 ||
		    (ip.frag_off & bpf_htons(IPV4_OFFSET)))
			return false;
		inner->protocol = ip.protocol;
		map_ipv4(&inner->source, ip.saddr);
		map_ipv4(&inner->destination, ip.daddr);
		return parse_inner_ports(h->skb, inner, offset + ip.ihl * 4);
	}
	if (bpf_skb_load_bytes(h->skb, offset, &ip6, sizeof(ip6)) || ip6.version != 6)
		return false;
	inner->protocol = ip6.nexthdr;
	__builtin_memcpy(&inner->source, &ip6.saddr, 16);
	__builtin_memcpy(&inner->destination, &ip6.daddr, 16);
	return parse_inner_ports(h->skb, inner, offset + sizeof(ip6));
}

/*
 * The entry of the connection that the error is about, or NULL. It must go to the one who sent the packet in it, and a pod
 * may only complain of what was sent to itself.
 */
OUTLINE const struct ct_entry *related_entry(struct hook *h)
{
	struct packet inner = {};
	const struct ct_entry *entry;

	if (!parse_inner(h, &inner) || !same_addr(&inner.source, &h->packet.destination))
		return NULL;
	if (h->origin == ORIGIN_POD && !same_addr(&inner.destination, &h->packet.source))
		return NULL;
	h->source_is_a = ct_key_of(&inner, &h->asked.key);
	entry = live_entry(h);
	if (entry)
		h->is_reply = !h->is_reply; /* the error travels against the packet that it is about */
	return entry;
}

/*
 * Is the error about a connection that may pass? Returns 0 and the entry's flags, NOT_RELATED, or why the connection is
 * dropped. The inner packet is off the stack before the policy is asked: there is not room for both.
 */
INLINE int related(struct hook *h, __u32 *flags)
{
	const struct ct_entry *entry = related_entry(h);

	if (!entry)
		return NOT_RELATED;
	*flags = entry->flags;
	return entry_reason(h, entry);
}

/*
 * A link message on its way to somewhere else never gets there, whatever policy says. It is asked all the same: what it
 * denies is reported as its own denial.
 */
OUTLINE int link_beyond(struct hook *h)
{
	int reason = h->unverified ? 0 : decide_stateless(h);

	return drop(h, reason ? reason : DROP_FORBIDDEN_ICMPV6);
}

OUTLINE int stateless_from_pod(struct hook *h)
{
	int reason = NOT_RELATED;
	__u32 flags = 0;

	if (h->packet.kind == PACKET_ICMP_ERROR)
		reason = related(h, &flags);
	if (reason == 0 && (flags & CT_STEERED))
		return to_proxy(h); /* about a segment that the proxy sent in the peer's name */
	if (reason == NOT_RELATED)
		reason = decide_stateless(h);
	return reason ? drop(h, reason) : deliver(h);
}

OUTLINE int stateless_to_pod(struct hook *h)
{
	int reason = NOT_RELATED;
	__u32 flags = 0;

	if (h->packet.kind == PACKET_ICMP_ERROR)
		reason = related(h, &flags);
	if (reason == NOT_RELATED)
		reason = decide_stateless(h);
	if (reason)
		return drop(h, reason);
	count_packet(FORWARDED, h->direction, h->packet.length);
	return TC_ACT_OK;
}

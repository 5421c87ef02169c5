// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* tc programs on the host side of each pod's veth: from_pod judges what the pod sends, to_pod what it is sent. */
#include "lib/icmp.h"
#include "lib/link.h"
#include "lib/verdict.h"

/*
 * No endpoint behind the interface: nothing passes. What the kernels at both ends say of their own accord while a pod is
 * being joined is counted, but is no news.
 */
OUTLINE int drop_unready(struct hook *h)
{
	int reason = parse_link(h);

	if (!reason && !h->packet.fragment)
		reason = parse_ports(h->skb, &h->packet);
	if (!reason && h->packet.kind != PACKET_LINK)
		return drop(h, DROP_ENDPOINT_NOT_READY);
	count_packet(DROP_ENDPOINT_NOT_READY, h->direction, h->packet.length);
	return TC_ACT_SHOT;
}

/* Headers and claimed sender of a packet that the pod sent. Returns 0, IS_ARP or a drop reason. */
INLINE int receive_from_pod(struct hook *h)
{
	int reason = check_macs(h);

	if (!reason)
		reason = parse_link(h);
	if (!reason)
		reason = check_source(h);
	if (!reason)
		reason = parse_ports(h->skb, &h->packet);
	if (!reason && h->unverified && h->packet.kind != PACKET_LINK)
		reason = DROP_SOURCE_IP;
	return reason;
}

/* An allowed packet of a connection, with its entry. */
INLINE int forward_from_pod(struct hook *h, struct ct_entry *entry)
{
	__u32 slot = entry->slot;

	if (!(entry->flags & CT_STEERED)) {
		account(h, entry);
		return deliver(h);
	}
	/* The client's leg is the connection; the server's leg only keeps it alive. */
	if (h->is_reply)
		ct_touch(entry, h, entry->flags);
	else
		account(h, entry);
	return steer(h, slot);
}

SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	struct hook h = { .origin = ORIGIN_POD };
	struct ct_entry *entry;
	int reason;

	if (!start_hook(&h, skb, POLICY_EGRESS))
		return drop_unready(&h);
	reason = receive_from_pod(&h);
	if (unlikely(reason))
		return reason == IS_ARP ? arp_from_pod(&h) : drop(&h, reason);
	if (unlikely(h.packet.kind == PACKET_LINK))
		return stays_on_link(&h.packet.destination) ? link_from_pod(&h) : link_beyond(&h);
	if (unlikely(h.packet.kind != PACKET_FLOW))
		return stateless_from_pod(&h);
	h.source_is_a = ct_key_of(&h.packet, &h.asked.key);
	entry = current_entry(&h);
	if (unlikely(!entry)) {
		reason = decide_packet(&h);
		if (reason == IS_STATELESS)
			return stateless_from_pod(&h);
		if (reason == DROP_UNTRACKED)
			return reset_sender(&h, reason);
		if (reason)
			return reason == DROP_CUT ? cut_connection(&h) : drop(&h, reason);
		entry = bpf_map_lookup_elem(&conntrack, &h.asked.key);
		if (!entry)
			return drop(&h, DROP_CT_FULL);
	}
	return forward_from_pod(&h, entry);
}

/* A packet that came from another interface has one; a pod's marks do not outlive its namespace. */
INLINE enum origin origin_of(const struct hook *h)
{
	__u32 mark = h->skb->mark;

	if (h->skb->ingress_ifindex)
		return ORIGIN_NETWORK;
	return mark && (mark == h->config->proxy_mark || mark == h->config->steer_mark) ? ORIGIN_PROXY : ORIGIN_HOST;
}

/* Headers and destination of a packet for the pod. Returns 0, IS_ARP or a drop reason. */
INLINE int receive_to_pod(struct hook *h)
{
	const struct packet *p = &h->packet;
	int reason = parse_link(h);

	if (!reason)
		reason = parse_ports(h->skb, &h->packet);
	if (reason)
		return reason;
	if (p->kind == PACKET_LINK)
		return 0;
	if (is_zero(&p->destination) || !same_addr(&p->destination, p->family == 4 ? &h->endpoint->ip4 : &h->endpoint->ip6))
		return DROP_UNROUTABLE;
	return 0;
}

INLINE int pass_to_pod(struct hook *h)
{
	count_packet(FORWARDED, POLICY_INGRESS, h->packet.length);
	return TC_ACT_OK;
}

/* An allowed packet of a connection, with its entry. */
INLINE int forward_to_pod(struct hook *h, struct ct_entry *entry)
{
	bool from_proxy = h->origin == ORIGIN_PROXY;

	/* what the proxy shall see reaches the pod from the proxy only */
	if (from_proxy != !!(entry->flags & CT_STEERED))
		return drop(h, DROP_NOT_STEERED);
	if (from_proxy && !h->is_reply)
		ct_touch(entry, h, entry->flags); /* the server's leg */
	else
		account(h, entry);
	return pass_to_pod(h);
}

/* Must not arrive: the pod gets a RST instead. */
OUTLINE int cut_to_pod(struct hook *h)
{
	struct segment s;
	int action;

	if ((h->packet.tcp_flags & TCP_RST) && !h->packet.fragment)
		return pass_to_pod(h);
	action = drop(h, DROP_CUT);
	end_connection(h);
	return read_segment(h, &s) && make_reset(h, &s, RESET_RECEIVER, NULL) ? TC_ACT_OK : action;
}

SEC("tc")
int to_pod(struct __sk_buff *skb)
{
	struct hook h = {};
	struct ct_entry *entry;
	int reason;

	if (!start_hook(&h, skb, POLICY_INGRESS))
		return drop_unready(&h);
	h.origin = origin_of(&h);
	reason = receive_to_pod(&h);
	if (reason == IS_ARP && h.origin != ORIGIN_NETWORK)
		return pass_to_pod(&h);
	if (unlikely(reason))
		return drop(&h, reason == IS_ARP ? DROP_UNKNOWN_L3 : reason);
	if (unlikely(h.packet.kind == PACKET_LINK))
		return h.origin == ORIGIN_NETWORK ? link_beyond(&h) : pass_to_pod(&h);
	if (unlikely(h.packet.kind != PACKET_FLOW))
		return stateless_to_pod(&h);
	h.source_is_a = ct_key_of(&h.packet, &h.asked.key);
	entry = current_entry(&h);
	if (unlikely(!entry)) {
		reason = decide_packet(&h);
		if (reason == IS_STATELESS)
			return stateless_to_pod(&h);
		if (reason)
			return reason == DROP_CUT ? cut_to_pod(&h) : drop(&h, reason);
		entry = bpf_map_lookup_elem(&conntrack, &h.asked.key);
		if (!entry)
			return drop(&h, DROP_CT_FULL);
	}
	return forward_to_pod(&h, entry);
}

char _license[] SEC("license") = "Dual BSD/GPL";

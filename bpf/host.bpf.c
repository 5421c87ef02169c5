// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * tc programs on the node's own devices to the outside: from_network judges what is sent to the node, to_network what the
 * node sends. Traffic of pods is judged at the pods (pod.bpf.c) and passes here.
 */
#include "lib/icmp.h"
#include "lib/verdict.h"

#define PASS -1 /* TC_ACT_UNSPEC and TCX_NEXT: whoever else looks at this device has a say too */
#define DHCP_SERVER 67 /* RFC 2131 section 4.1 */
#define DHCP_CLIENT 68
#define DHCP6_CLIENT 546 /* RFC 8415 section 7.2 */
#define DHCP6_SERVER 547
#define VLAN_ID 0x0fff /* of a tag's first two bytes */
#define IPPROTO_OF_IPV4 offsetof(struct iphdr, protocol)

/* What follows the type of a tagged frame (IEEE 802.1Q). */
struct vlan_tag {
	__be16 control;
	__be16 protocol;
};

/*
 * The headers of a frame, the outermost tag of which stands beside it. VLAN 0 means none: the stack takes such tags off, and
 * what is behind them is for the node. Returns 0, IS_ARP, IS_OF_VLAN (a device of its own sees it again) or a drop reason.
 */
INLINE int parse_host_link(struct hook *h)
{
	const struct ethhdr *eth = header(h->skb, 0, sizeof(*eth));
	const struct vlan_tag *tag;

	if (!eth)
		return DROP_TRUNCATED;
	if (h->skb->vlan_present && (h->skb->vlan_tci & VLAN_ID))
		return IS_OF_VLAN;
	if (!is_vlan_tag(eth->h_proto))
		return parse_network(h, eth);
	tag = header(h->skb, ETH_HLEN, sizeof(*tag));
	if (!tag)
		return DROP_TRUNCATED;
	if (tag->control & bpf_htons(VLAN_ID))
		return IS_OF_VLAN;
	if (tag->protocol == bpf_htons(ETH_P_IP) || tag->protocol == bpf_htons(ETH_P_IPV6) || is_vlan_tag(tag->protocol))
		return DROP_VLAN;
	return DROP_UNKNOWN_L3;
}

/* Group membership (RFC 3376), whose packets have IPv4 options: it never leaves the link. */
INLINE bool is_igmp(const struct hook *h)
{
	__u8 protocol = 0;

	return !bpf_skb_load_bytes(h->skb, ETH_HLEN + IPPROTO_OF_IPV4, &protocol, 1) && protocol == IPPROTO_IGMP;
}

/* Without it the node has no address, and with that nothing at all. */
INLINE bool is_dhcp(const struct hook *h)
{
	const struct packet *p = &h->packet;
	__u16 from = bpf_ntohs(p->source_port), to = bpf_ntohs(p->destination_port);

	if (p->protocol != IPPROTO_UDP || p->fragment)
		return false;
	if (h->direction == POLICY_EGRESS)
		return p->family == 4 ? from == DHCP_CLIENT && to == DHCP_SERVER : from == DHCP6_CLIENT && to == DHCP6_SERVER;
	return p->family == 4 ? from == DHCP_SERVER && to == DHCP_CLIENT : from == DHCP6_SERVER && to == DHCP6_CLIENT;
}

/* Between a pod and somebody else, or only sent on to a pod. */
INLINE bool is_of_pod(const struct hook *h)
{
	const struct addr *ip = h->direction == POLICY_INGRESS ? &h->packet.destination : &h->packet.source;
	const struct identity_value *known;
	struct identity_key key;

	if (bpf_map_lookup_elem(&endpoint_addrs, ip))
		return true;
	key.prefixlen = ADDR_BITS;
	key.ip = *ip;
	known = bpf_map_lookup_elem(&identities, &key);
	return known && (known->flags & ADDR_MANAGED); /* not ready: dropped at its interface */
}

/* The transport header. What has none that is known is judged by addresses and protocol alone. Returns 0 or a drop reason. */
INLINE int parse_host_ports(struct hook *h)
{
	int reason = parse_ports(h->skb, &h->packet);

	if (reason == DROP_UNKNOWN_L4) {
		h->packet.kind = PACKET_STATELESS;
		return 0;
	}
	return reason;
}

OUTLINE int stateless_at_host(struct hook *h)
{
	int reason = NOT_RELATED;
	__u32 flags = 0;

	if (h->packet.kind == PACKET_ICMP_ERROR)
		reason = related(h, &flags);
	if (reason == NOT_RELATED)
		reason = decide_stateless(h);
	return reason ? drop(h, reason) : PASS;
}

OUTLINE int judge_at_host(struct hook *h)
{
	struct ct_entry *entry;
	int reason;

	h->source_is_a = ct_key_of(&h->packet, &h->asked.key);
	entry = current_entry(h);
	if (unlikely(!entry)) {
		reason = decide_packet(h);
		if (reason == IS_STATELESS)
			return stateless_at_host(h);
		if (reason)
			return drop(h, reason);
		entry = bpf_map_lookup_elem(&conntrack, &h->asked.key);
		if (!entry)
			return drop(h, DROP_CT_FULL);
	}
	account(h, entry);
	return PASS;
}

INLINE int host_packet(struct hook *h)
{
	int reason = parse_host_link(h);

	if (reason == IS_ARP || reason == DROP_UNKNOWN_L3 || reason == IS_OF_VLAN)
		return PASS;
	if (reason == DROP_IPV4_OPTIONS && is_igmp(h))
		return PASS;
	if (reason)
		return drop(h, reason);
	if (is_of_pod(h))
		return PASS;
	reason = parse_host_ports(h);
	if (reason)
		return drop(h, reason);
	if (h->packet.kind == PACKET_LINK || is_dhcp(h))
		return PASS;
	return h->packet.kind == PACKET_FLOW ? judge_at_host(h) : stateless_at_host(h);
}

SEC("tc")
int from_network(struct __sk_buff *skb)
{
	struct hook h = { .origin = ORIGIN_NETWORK };

	return start_host_hook(&h, skb, POLICY_INGRESS) ? host_packet(&h) : PASS;
}

SEC("tc")
int to_network(struct __sk_buff *skb)
{
	struct hook h = {};

	if (!start_host_hook(&h, skb, POLICY_EGRESS))
		return PASS;
	h.origin = skb->ingress_ifindex ? ORIGIN_NETWORK : ORIGIN_HOST;
	return host_packet(&h);
}

char _license[] SEC("license") = "Dual BSD/GPL";

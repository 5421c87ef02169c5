/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The link between a pod and the node: MAC and source address checks, ARP, neighbor discovery. */
#pragma once
#include "count.h"
#include "events.h"
#include "hook.h"
#include "transport.h"
#include <linux/pkt_cls.h>

#define ARPHRD_ETHER 1
#define ETHERTYPE_QINQ 0x88a8
#define ND_HOPS 255 /* RFC 4861 section 7.1: nothing that was forwarded */
#define MLD_HOPS 1
#define ND_TARGET 8 /* offset of the target address in NS and NA */
#define ND_OPTIONS 24 /* offset of the options in NS and NA */
#define RS_OPTIONS 8
#define ND_MAX_OPTIONS 4
#define ND_SOURCE_MAC 1 /* option types */
#define ND_TARGET_MAC 2

/* RFC 826; linux/if_arp.h needs libc's headers. */
struct arp_message {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_size;
	__u8 protocol_size;
	__be16 operation;
	__u8 sender_mac[ETH_ALEN];
	__u8 sender_ip[4];
	__u8 target_mac[ETH_ALEN];
	__u8 target_ip[4];
} __attribute__((packed));

struct nd_option {
	__u8 type;
	__u8 length; /* in units of 8 bytes */
	__u8 mac[ETH_ALEN];
};

/* Tags and MACs of a packet that the pod sent. */
INLINE int check_macs(struct hook *h)
{
	const struct ethhdr *eth = header(h->skb, 0, sizeof(*eth));

	if (!eth)
		return DROP_TRUNCATED;
	if (!same_mac(eth->h_source, h->endpoint->pod_mac))
		return DROP_SOURCE_MAC;
	if (!(eth->h_dest[0] & 1) && !same_mac(eth->h_dest, h->endpoint->host_mac))
		return DROP_DESTINATION_MAC;
	return 0;
}

/* The network header. Returns 0, IS_ARP or a drop reason. */
INLINE int parse_network(struct hook *h, const struct ethhdr *eth)
{
	struct packet *p = &h->packet;
	int reason;

	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return parse_ipv4(h->skb, p);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		reason = parse_ipv6(h->skb, p);
		if (reason || p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP)
			return reason;
		return parse_extensions(h->skb, p);
	}
	return eth->h_proto == bpf_htons(ETH_P_ARP) ? IS_ARP : DROP_UNKNOWN_L3;
}

INLINE bool is_vlan_tag(__be16 protocol)
{
	return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETHERTYPE_QINQ);
}

/* A packet without tags. Returns 0, IS_ARP or a drop reason. */
INLINE int parse_link(struct hook *h)
{
	const struct ethhdr *eth = header(h->skb, 0, sizeof(*eth));

	if (!eth)
		return DROP_TRUNCATED;
	if (h->skb->vlan_present || is_vlan_tag(eth->h_proto))
		return DROP_VLAN;
	return parse_network(h, eth);
}

INLINE bool is_link_local(const struct addr *a)
{
	return a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

/* Link-local, or multicast of link or interface scope: the stack forwards neither. */
INLINE bool stays_on_link(const struct addr *a)
{
	return is_link_local(a) || (a->bytes[0] == 0xff && (a->bytes[1] & 0xf) <= 2);
}

/* The link-local address that a pod's kernel makes of its MAC (RFC 4291 appendix A). */
INLINE bool is_own_link_local(const struct addr *a, const __u8 *mac)
{
	struct addr own = { { 0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5] } };

	return same_addr(a, &own);
}

INLINE bool is_own_ipv6(const struct addr *a, const struct endpoint *endpoint)
{
	return !is_zero(a) && (same_addr(a, &endpoint->ip6) || is_own_link_local(a, endpoint->pod_mac));
}

/* Before parse_ports(): what is remembered of fragments must not come from a liar. */
INLINE int check_source(struct hook *h)
{
	const struct packet *p = &h->packet;

	if (p->family == 4)
		return same_addr(&p->source, &h->endpoint->ip4) ? 0 : DROP_SOURCE_IP;
	if (likely(same_addr(&p->source, &h->endpoint->ip6) && !is_zero(&p->source)))
		return 0;
	if (p->protocol != IPPROTO_ICMPV6 || p->fragment || !(is_zero(&p->source) || is_link_local(&p->source)))
		return DROP_SOURCE_IP;
	h->unverified = 1;
	return 0;
}

/* ARP from a pod must speak of the pod itself (a probe has no sender address yet). */
OUTLINE int arp_from_pod(struct hook *h)
{
	struct arp_message arp;
	struct addr sender;
	__be32 ip;

	if (bpf_skb_load_bytes(h->skb, ETH_HLEN, &arp, sizeof(arp)))
		return drop(h, DROP_TRUNCATED);
	__builtin_memcpy(&ip, arp.sender_ip, sizeof(ip));
	map_ipv4(&sender, ip);
	if (arp.hardware != bpf_htons(ARPHRD_ETHER) || arp.protocol != bpf_htons(ETH_P_IP) ||
	    arp.hardware_size != ETH_ALEN || arp.protocol_size != sizeof(ip) ||
	    !same_mac(arp.sender_mac, h->endpoint->pod_mac) || (ip && !same_addr(&sender, &h->endpoint->ip4)))
		return drop(h, DROP_ARP_SENDER);
	count_packet(FORWARDED, h->direction, h->packet.length);
	return TC_ACT_OK;
}

/* Every link-layer address among the options must be the pod's. */
INLINE bool options_are_own(const struct hook *h, __u32 offset)
{
	struct nd_option option;

	for (int i = 0; i < ND_MAX_OPTIONS; i++) {
		if (offset >= h->skb->len)
			return true;
		if (bpf_skb_load_bytes(h->skb, offset, &option, sizeof(option)) || option.length == 0)
			return false;
		if ((option.type == ND_SOURCE_MAC || option.type == ND_TARGET_MAC) &&
		    !same_mac(option.mac, h->endpoint->pod_mac))
			return false;
		offset += option.length * 8;
	}
	return offset >= h->skb->len;
}

INLINE int neighbor_reason(const struct hook *h)
{
	const struct packet *p = &h->packet;
	struct addr target;

	if (p->icmp_type == ND_ROUTER_SOLICIT)
		return options_are_own(h, p->l4_offset + RS_OPTIONS) ? 0 : DROP_ND_SENDER;
	if (bpf_skb_load_bytes(h->skb, p->l4_offset + ND_TARGET, &target, sizeof(target)))
		return DROP_TRUNCATED;
	if (p->icmp_type == ND_NEIGHBOR_ADVERT && !is_own_ipv6(&target, h->endpoint))
		return DROP_ND_SENDER;
	return options_are_own(h, p->l4_offset + ND_OPTIONS) ? 0 : DROP_ND_SENDER;
}

/* Neighbor discovery and listener reports of a pod go to the node's stack, and no further. */
OUTLINE int link_from_pod(struct hook *h)
{
	const struct packet *p = &h->packet;
	bool discovery = p->icmp_type >= ND_ROUTER_SOLICIT && p->icmp_type <= ND_REDIRECT;
	int reason = 0;

	if (p->icmp_type == MLD_QUERY || p->icmp_type == ND_ROUTER_ADVERT || p->icmp_type == ND_REDIRECT ||
	    p->hops != (discovery ? ND_HOPS : MLD_HOPS) || !stays_on_link(&p->destination))
		return drop(h, DROP_FORBIDDEN_ICMPV6);
	if (!is_zero(&p->source) && !is_own_ipv6(&p->source, h->endpoint))
		return drop(h, DROP_ND_SENDER);
	if (discovery)
		reason = neighbor_reason(h);
	if (reason)
		return drop(h, reason);
	count_packet(FORWARDED, h->direction, p->length);
	return TC_ACT_OK;
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The rarer transport headers: ICMP, fragments, IPv6 extension headers. */
#pragma once
#include "maps.h"
#include "packet.h"
#include "count.h"

#define MAX_EXTENSIONS 6
#define IPV6_HOP_BY_HOP 0
#define IPV6_ROUTING 43
#define IPV6_FRAGMENT_HEADER 44
#define IPV6_DESTINATION 60
#define IPV6_FRAGMENT_OFFSET 0xfff8
#define IPV6_MORE_FRAGMENTS 1

#define MLD_QUERY 130
#define MLD_DONE 132
#define ND_ROUTER_SOLICIT 133
#define ND_ROUTER_ADVERT 134
#define ND_NEIGHBOR_SOLICIT 135
#define ND_NEIGHBOR_ADVERT 136
#define ND_REDIRECT 137
#define MLD2_REPORT 143

struct ipv6_fragment_header {
	__u8 next;
	__u8 reserved;
	__be16 offset;
	__be32 id;
};

/* Steps over extension headers: sets p->protocol and p->l4_offset to the transport header. */
OUTLINE int parse_extensions(struct __sk_buff *skb, struct packet *p)
{
	__u32 offset = IPV6_L4;
	__u8 next = p->protocol;

	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		struct ipv6_fragment_header h; /* the longest; the others start alike: next header, length */
		__u16 position;

		if (next != IPV6_HOP_BY_HOP && next != IPV6_DESTINATION && next != IPV6_ROUTING && next != IPV6_FRAGMENT_HEADER) {
			p->protocol = next;
			p->l4_offset = offset;
			return 0;
		}
		if (bpf_skb_load_bytes(skb, offset, &h, sizeof(h)))
			return DROP_TRUNCATED;
		p->extended = 1;
		/* segments left: the destination in the header would not be the last one */
		if (next == IPV6_ROUTING && (bpf_ntohs(h.offset) & 0xff))
			return DROP_IPV6_EXTENSION;
		if (next == IPV6_FRAGMENT_HEADER) {
			position = bpf_ntohs(h.offset);
			if (p->fragment)
				return DROP_IPV6_EXTENSION;
			p->fragment_offset = position & IPV6_FRAGMENT_OFFSET;
			p->fragment_id = bpf_ntohl(h.id);
			if (p->fragment_offset)
				p->fragment = FRAGMENT_LATER;
			else if (position & IPV6_MORE_FRAGMENTS)
				p->fragment = FRAGMENT_FIRST;
			offset += sizeof(h);
		} else {
			offset += (h.reserved + 1) * 8;
		}
		next = h.next;
		if (p->fragment == FRAGMENT_LATER) {
			p->protocol = next; /* what follows is payload: no more headers to read */
			return 0;
		}
	}
	return DROP_IPV6_EXTENSION;
}

INLINE void fragment_key_of(const struct packet *p, struct fragment_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->source = p->source;
	key->destination = p->destination;
	key->id = p->fragment_id;
	key->protocol = p->protocol;
}

/* What must be in the first fragment, so that no other can rewrite it. */
INLINE __u32 transport_size(__u8 protocol)
{
	if (protocol == IPPROTO_TCP)
		return sizeof(struct tcphdr);
	return protocol == IPPROTO_SCTP ? sizeof(struct sctp_header) : sizeof(struct udphdr);
}

/* A later fragment has no transport header: its ports are those of the first. */
INLINE int recall_fragment(struct packet *p)
{
	const struct fragment_value *known;
	struct fragment_key key;

	if (p->fragment_offset < transport_size(p->protocol))
		return DROP_FRAGMENT_OVERLAP;
	fragment_key_of(p, &key);
	known = bpf_map_lookup_elem(&fragments, &key);
	if (!known)
		return DROP_NO_FIRST_FRAGMENT;
	p->source_port = known->source_port;
	p->destination_port = known->destination_port;
	return 0;
}

INLINE void remember_fragment(const struct packet *p)
{
	struct fragment_value ports = { p->source_port, p->destination_port };
	struct fragment_key key;

	fragment_key_of(p, &key);
	/* without the entry the later fragments are dropped: closed, and seen in the losses */
	if (bpf_map_update_elem(&fragments, &key, &ports, BPF_ANY))
		count_loss(LOSS_FRAGMENT);
}

INLINE int parse_icmp(struct __sk_buff *skb, struct packet *p)
{
	struct icmp_message icmp;

	if (bpf_skb_load_bytes(skb, p->l4_offset, &icmp, sizeof(icmp)))
		return DROP_TRUNCATED;
	p->icmp_type = icmp.type;
	p->kind = PACKET_STATELESS;
	if (icmp.type == ICMP_ECHO || icmp.type == ICMP_ECHOREPLY) {
		p->kind = PACKET_FLOW;
		*(icmp.type == ICMP_ECHO ? &p->source_port : &p->destination_port) = icmp.id;
	} else if (icmp.type == ICMP_DEST_UNREACH || icmp.type == ICMP_TIME_EXCEEDED || icmp.type == ICMP_PARAMETERPROB) {
		p->kind = PACKET_ICMP_ERROR;
	}
	return 0;
}

INLINE int parse_icmpv6(struct __sk_buff *skb, struct packet *p)
{
	struct icmp_message icmp;

	if (bpf_skb_load_bytes(skb, p->l4_offset, &icmp, sizeof(icmp)))
		return DROP_TRUNCATED;
	p->icmp_type = icmp.type;
	p->kind = PACKET_STATELESS;
	if (icmp.type == ICMPV6_ECHO_REQUEST || icmp.type == ICMPV6_ECHO_REPLY) {
		p->kind = PACKET_FLOW;
		*(icmp.type == ICMPV6_ECHO_REQUEST ? &p->source_port : &p->destination_port) = icmp.id;
	} else if (icmp.type < ICMPV6_FIRST_INFORMATIONAL) {
		p->kind = PACKET_ICMP_ERROR;
	} else if ((icmp.type >= MLD_QUERY && icmp.type <= ND_REDIRECT) || icmp.type == MLD2_REPORT) {
		p->kind = PACKET_LINK;
	}
	return 0;
}

/* The transport header, wherever it is. Run after the source check: it writes to `fragments`. */
OUTLINE int parse_transport(struct __sk_buff *skb, struct packet *p)
{
	struct sctp_header sctp;
	struct tcphdr tcp;
	struct udphdr udp;
	int reason = 0;

	if (!has_ports(p->protocol) && p->protocol != (p->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return DROP_UNKNOWN_L4;
	if (p->fragment == FRAGMENT_LATER)
		return recall_fragment(p);
	if (p->protocol == IPPROTO_TCP) {
		if (bpf_skb_load_bytes(skb, p->l4_offset, &tcp, sizeof(tcp)))
			return DROP_TRUNCATED;
		reason = parse_tcp(&tcp, p);
	} else if (p->protocol == IPPROTO_UDP) {
		if (bpf_skb_load_bytes(skb, p->l4_offset, &udp, sizeof(udp)))
			return DROP_TRUNCATED;
		parse_udp(&udp, p);
	} else if (p->protocol == IPPROTO_SCTP) {
		if (bpf_skb_load_bytes(skb, p->l4_offset, &sctp, sizeof(sctp)))
			return DROP_TRUNCATED;
		p->source_port = sctp.source;
		p->destination_port = sctp.dest;
	} else {
		reason = p->family == 4 ? parse_icmp(skb, p) : parse_icmpv6(skb, p);
		if (p->fragment && p->kind != PACKET_FLOW)
			return DROP_TRUNCATED; /* errors and link messages are never so long */
	}
	if (!reason && p->fragment == FRAGMENT_FIRST)
		remember_fragment(p);
	return reason;
}

/* Network and transport headers are the ones that nearly all packets have. */
INLINE bool is_plain(const struct packet *p)
{
	return (p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP) && !p->fragment && !p->extended;
}

INLINE int parse_ports(struct __sk_buff *skb, struct packet *p)
{
	if (likely(is_plain(p)))
		return p->family == 4 ? parse_plain(skb, p, IPV4_L4) : parse_plain(skb, p, IPV6_L4);
	return parse_transport(skb, p);
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a packet says: link, network and transport headers, read with bounds. */
#pragma once
#include "bpf.h"
#include "abi.h"
#include "drop.h"
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* linux/icmp.h needs libc's headers for this target, so: RFC 792 and RFC 4443. */
struct icmp_message {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be16 id; /* echo only */
	__be16 sequence;
};
#define ICMP_ECHOREPLY 0
#define ICMP_DEST_UNREACH 3
#define ICMP_ECHO 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12
#define ICMPV6_FIRST_INFORMATIONAL 128 /* below: errors */
#define ICMPV6_ECHO_REQUEST 128
#define ICMPV6_ECHO_REPLY 129

#define IPV4_L4 (ETH_HLEN + sizeof(struct iphdr)) /* options are refused */
#define IPV6_L4 (ETH_HLEN + sizeof(struct ipv6hdr))
#define IPV4_FRAGMENT 0x3fff /* more fragments, and the offset in units of 8 bytes */
#define IPV4_OFFSET 0x1fff

enum packet_kind {
	PACKET_FLOW = 0, /* TCP, UDP, ICMP echo: belongs to a connection */
	PACKET_ICMP_ERROR, /* about another packet, whose head it carries */
	PACKET_STATELESS, /* any other ICMP */
	PACKET_LINK, /* neighbor discovery and listener reports: never leaves the link */
};
enum packet_fragment { FRAGMENT_NONE = 0, FRAGMENT_FIRST, FRAGMENT_LATER };

struct packet {
	struct addr source;
	struct addr destination;
	__be16 source_port; /* ICMP echo: the identifier on the side of the requester, else 0 */
	__be16 destination_port;
	__u8 family; /* 4 or 6 */
	__u8 protocol;
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 kind; /* enum packet_kind */
	__u8 fragment; /* enum packet_fragment */
	__u8 hops; /* TTL or hop limit */
	__u8 extended; /* IPv6 extension headers before the transport header */
	__u16 fragment_offset; /* bytes */
	__u16 l4_offset;
	__u32 fragment_id;
	__u32 length; /* of the frame, in bytes */
} __attribute__((aligned(8)));

/* linux/sctp.h of libc's headers has no such struct: RFC 9260 section 3.1. */
struct sctp_header {
	__be16 source;
	__be16 dest;
	__be32 tag;
	__be32 checksum;
};

INLINE bool is_icmp(__u8 protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

INLINE bool has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

INLINE __u64 half(const struct addr *a, int i)
{
	__u64 value;

	__builtin_memcpy(&value, a->bytes + 8 * i, 8);
	return value;
}

INLINE bool same_addr(const struct addr *a, const struct addr *b)
{
	return half(a, 0) == half(b, 0) && half(a, 1) == half(b, 1);
}

INLINE bool is_zero(const struct addr *a)
{
	return (half(a, 0) | half(a, 1)) == 0;
}

INLINE bool is_mapped(const struct addr *a)
{
	__u32 prefix;

	__builtin_memcpy(&prefix, a->bytes + 8, 4);
	return half(a, 0) == 0 && prefix == bpf_htonl(0xffff);
}

INLINE void map_ipv4(struct addr *out, __be32 ip)
{
	__u64 low = bpf_cpu_to_be64(0xffff00000000ULL | bpf_ntohl(ip));

	__builtin_memset(out->bytes, 0, 8);
	__builtin_memcpy(out->bytes + 8, &low, 8);
}

INLINE __be32 ipv4_of(const struct addr *a)
{
	__be32 ip;

	__builtin_memcpy(&ip, a->bytes + 12, 4);
	return ip;
}

INLINE bool same_mac(const __u8 *a, const __u8 *b)
{
	const __u16 *x = (const __u16 *)a, *y = (const __u16 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2];
}

/* `size` bytes at `offset`, or NULL if the packet is too short. Pointers taken before are invalid afterwards. */
INLINE void *header(struct __sk_buff *skb, __u32 offset, __u32 size)
{
	if (likely((void *)(long)skb->data + offset + size <= (void *)(long)skb->data_end))
		return (void *)(long)skb->data + offset;
	if (bpf_skb_pull_data(skb, offset + size))
		return NULL;
	if ((void *)(long)skb->data + offset + size <= (void *)(long)skb->data_end)
		return (void *)(long)skb->data + offset;
	return NULL;
}

/* Each parser returns 0 or a drop reason. */
INLINE int parse_ipv4(struct __sk_buff *skb, struct packet *p)
{
	const struct iphdr *ip = header(skb, ETH_HLEN, sizeof(*ip));
	__u16 total, fragment;

	if (!ip)
		return DROP_TRUNCATED;
	if (ip->version != 4 || ip->ihl < 5)
		return DROP_INVALID_PACKET;
	if (ip->ihl > 5)
		return DROP_IPV4_OPTIONS;
	total = bpf_ntohs(ip->tot_len);
	/* 0 is what a segment of more than 64 kB has */
	if (total ? total < sizeof(*ip) || ETH_HLEN + total > skb->len : !skb->gso_size)
		return DROP_INVALID_PACKET;
	p->family = 4;
	p->protocol = ip->protocol;
	p->hops = ip->ttl;
	p->l4_offset = IPV4_L4;
	map_ipv4(&p->source, ip->saddr);
	map_ipv4(&p->destination, ip->daddr);
	fragment = bpf_ntohs(ip->frag_off) & IPV4_FRAGMENT;
	if (unlikely(fragment)) {
		p->fragment_offset = (fragment & IPV4_OFFSET) * 8;
		p->fragment = p->fragment_offset ? FRAGMENT_LATER : FRAGMENT_FIRST;
		p->fragment_id = bpf_ntohs(ip->id);
	}
	return 0;
}

INLINE int parse_ipv6(struct __sk_buff *skb, struct packet *p)
{
	const struct ipv6hdr *ip = header(skb, ETH_HLEN, sizeof(*ip));
	__u16 payload;

	if (!ip)
		return DROP_TRUNCATED;
	if (ip->version != 6)
		return DROP_INVALID_PACKET;
	payload = bpf_ntohs(ip->payload_len);
	if (payload ? IPV6_L4 + payload > skb->len : !skb->gso_size)
		return DROP_INVALID_PACKET;
	p->family = 6;
	p->protocol = ip->nexthdr;
	p->hops = ip->hop_limit;
	p->l4_offset = IPV6_L4;
	__builtin_memcpy(&p->source, &ip->saddr, 16);
	__builtin_memcpy(&p->destination, &ip->daddr, 16);
	/* Inside Weir these mean IPv4; on the wire they mean deceit (RFC 4942 section 2.2). */
	if (is_mapped(&p->source) || is_mapped(&p->destination))
		return DROP_INVALID_PACKET;
	return 0;
}

INLINE int parse_tcp(const struct tcphdr *tcp, struct packet *p)
{
	if (tcp->doff < 5)
		return DROP_TRUNCATED;
	p->source_port = tcp->source;
	p->destination_port = tcp->dest;
	p->tcp_flags = ((const __u8 *)tcp)[13];
	return 0;
}

INLINE void parse_udp(const struct udphdr *udp, struct packet *p)
{
	p->source_port = udp->source;
	p->destination_port = udp->dest;
}

/* TCP and UDP without fragments or extension headers. `offset` is a constant: IPV4_L4 or IPV6_L4. */
INLINE int parse_plain(struct __sk_buff *skb, struct packet *p, const __u32 offset)
{
	if (p->protocol == IPPROTO_TCP) {
		const struct tcphdr *tcp = header(skb, offset, sizeof(*tcp));

		return tcp ? parse_tcp(tcp, p) : DROP_TRUNCATED;
	} else {
		const struct udphdr *udp = header(skb, offset, sizeof(*udp));

		if (!udp)
			return DROP_TRUNCATED;
		parse_udp(udp, p);
		return 0;
	}
}

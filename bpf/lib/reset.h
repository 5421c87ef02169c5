/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Turns a TCP packet into the RST that ends its connection (RFC 9293 section 3.10.7.1). */
#pragma once
#include "hook.h"

#define RESET_TTL 64
#define IPV4_VERSION_IHL 0x45
#define IPV4_DONT_FRAGMENT 0x4000
#define TCP_DATA_OFFSET 5

enum reset_target { RESET_SENDER, RESET_RECEIVER };

/* What is needed of the original, once it has been overwritten. */
struct segment {
	__be32 seq;
	__be32 ack;
	__u32 end; /* sequence number after the segment, host order */
};

INLINE bool read_segment(const struct hook *h, struct segment *s)
{
	const struct packet *p = &h->packet;
	struct tcphdr tcp;
	__u32 head;

	/* headers are written at fixed places, and a later fragment has none */
	if (p->fragment || p->extended || bpf_skb_load_bytes(h->skb, p->l4_offset, &tcp, sizeof(tcp)))
		return false;
	head = p->l4_offset + tcp.doff * 4;
	s->seq = tcp.seq;
	s->ack = tcp.ack_seq;
	s->end = bpf_ntohl(tcp.seq) + (p->length > head ? p->length - head : 0) + tcp.syn + tcp.fin;
	return true;
}

INLINE __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

INLINE void reset_tcp(const struct hook *h, const struct segment *s, enum reset_target target, struct tcphdr *tcp)
{
	const struct packet *p = &h->packet;
	bool acked = p->tcp_flags & TCP_ACK;

	__builtin_memset(tcp, 0, sizeof(*tcp));
	tcp->doff = TCP_DATA_OFFSET;
	tcp->rst = 1;
	if (target == RESET_RECEIVER) {
		tcp->source = p->source_port;
		tcp->dest = p->destination_port;
		tcp->seq = s->seq;
		tcp->ack = acked;
		tcp->ack_seq = acked ? s->ack : 0;
	} else {
		tcp->source = p->destination_port;
		tcp->dest = p->source_port;
		tcp->seq = acked ? s->ack : 0;
		tcp->ack = !acked;
		tcp->ack_seq = acked ? 0 : bpf_htonl(s->end);
	}
}

INLINE int write_ipv4(const struct hook *h, const struct addr *from, const struct addr *to)
{
	struct iphdr ip = {};

	((__u8 *)&ip)[0] = IPV4_VERSION_IHL;
	ip.tot_len = bpf_htons(sizeof(ip) + sizeof(struct tcphdr));
	ip.frag_off = bpf_htons(IPV4_DONT_FRAGMENT);
	ip.ttl = RESET_TTL;
	ip.protocol = IPPROTO_TCP;
	ip.saddr = ipv4_of(from);
	ip.daddr = ipv4_of(to);
	ip.check = fold(bpf_csum_diff(NULL, 0, (__be32 *)&ip, sizeof(ip), 0));
	return bpf_skb_store_bytes(h->skb, ETH_HLEN, &ip, sizeof(ip), 0);
}

INLINE int write_ipv6(const struct hook *h, const struct addr *from, const struct addr *to)
{
	struct ipv6hdr ip = {};

	((__u8 *)&ip)[0] = 6 << 4;
	ip.payload_len = bpf_htons(sizeof(struct tcphdr));
	ip.nexthdr = IPPROTO_TCP;
	ip.hop_limit = RESET_TTL;
	__builtin_memcpy(&ip.saddr, from, 16);
	__builtin_memcpy(&ip.daddr, to, 16);
	return bpf_skb_store_bytes(h->skb, ETH_HLEN, &ip, sizeof(ip), 0);
}

/*
 * Overwrites the packet with a RST to the one who sent it or to the one who should receive it. `macs` is the endpoint that
 * the RST goes to, or NULL to leave the link header. The checksum is written in full, which is right for every state of
 * the packet's own: this one never leaves the node. Returns false if the packet cannot be rewritten.
 */
OUTLINE bool make_reset(const struct hook *h, const struct segment *s, enum reset_target target,
			const struct endpoint *macs)
{
	const struct packet *p = &h->packet;
	const struct addr *from = target == RESET_SENDER ? &p->destination : &p->source;
	const struct addr *to = target == RESET_SENDER ? &p->source : &p->destination;
	struct {
		struct addr from, to;
		__be32 length;
		__be32 protocol;
	} pseudo = { *from, *to, bpf_htonl(sizeof(struct tcphdr)), bpf_htonl(IPPROTO_TCP) };
	__u32 l4 = p->family == 4 ? IPV4_L4 : IPV6_L4;
	struct tcphdr tcp;

	if (bpf_skb_change_tail(h->skb, l4 + sizeof(tcp), 0))
		return false;
	if (p->family == 4 ? write_ipv4(h, from, to) : write_ipv6(h, from, to))
		return false;
	reset_tcp(h, s, target, &tcp);
	/* the prefix of mapped addresses sums to 0xffff each, which is nothing in ones' complement */
	tcp.check = fold(bpf_csum_diff(NULL, 0, (__be32 *)&tcp, sizeof(tcp),
				       bpf_csum_diff(NULL, 0, (__be32 *)&pseudo, sizeof(pseudo), 0)));
	if (bpf_skb_store_bytes(h->skb, l4, &tcp, sizeof(tcp), 0))
		return false;
	if (!macs)
		return true;
	return !bpf_skb_store_bytes(h->skb, offsetof(struct ethhdr, h_dest), macs->pod_mac, ETH_ALEN, 0) &&
	       !bpf_skb_store_bytes(h->skb, offsetof(struct ethhdr, h_source), macs->host_mac, ETH_ALEN, 0);
}

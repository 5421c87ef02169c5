/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Hands connections to the proxy, and ends those that would bypass it. */
#pragma once
#include "conntrack.h"
#include "events.h"
#include "forward.h"
#include "reset.h"

/*
 * Has the node, which is its proxy too, a socket for the packet's addresses and ports? A listener does not count. TIME_WAIT would count, and keep
 * the client from using its port again: the node is set to keep none (tcp_max_tw_buckets).
 */
OUTLINE bool has_socket(const struct hook *h)
{
	const struct packet *p = &h->packet;
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	__u32 state;

	if (p->family == 4) {
		tuple.ipv4.saddr = ipv4_of(&p->source);
		tuple.ipv4.daddr = ipv4_of(&p->destination);
		tuple.ipv4.sport = p->source_port;
		tuple.ipv4.dport = p->destination_port;
		sk = bpf_skc_lookup_tcp(h->skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, &p->source, 16);
		__builtin_memcpy(tuple.ipv6.daddr, &p->destination, 16);
		tuple.ipv6.sport = p->source_port;
		tuple.ipv6.dport = p->destination_port;
		sk = bpf_skc_lookup_tcp(h->skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return false;
	state = sk->state;
	bpf_sk_release(sk);
	return state != BPF_TCP_LISTEN;
}

/* Does the node listen on an address and port of its own? */
OUTLINE bool has_listener(const struct hook *h, const struct addr *here, __be16 port)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	__u32 state;

	/* from an address and port that no connection has: only a listener is found */
	if (h->packet.family == 4) {
		tuple.ipv4.daddr = ipv4_of(here);
		tuple.ipv4.dport = port;
		sk = bpf_skc_lookup_tcp(h->skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		__builtin_memcpy(tuple.ipv6.daddr, here, 16);
		tuple.ipv6.dport = port;
		sk = bpf_skc_lookup_tcp(h->skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return false;
	state = sk->state;
	bpf_sk_release(sk);
	return state == BPF_TCP_LISTEN;
}

/* Worker slot of a new connection; every connection of one pair of ends goes to the same slot. */
INLINE __u16 worker_slot(const struct hook *h)
{
	const struct ct_key *key = &h->asked.key;
	__u64 mix = half(&key->ip_a, 0) ^ half(&key->ip_a, 1) ^ half(&key->ip_b, 0) ^ half(&key->ip_b, 1);
	__u32 slots = h->config->worker_slots;

	mix ^= (__u64)key->port_a << 16 | key->port_b;
	mix *= 0x9e3779b97f4a7c15ULL; /* 2^64 / golden ratio: spreads neighbours */
	return slots ? (mix >> 32) % slots : 0;
}

/* To the node's own stack, by the mark's routing rule; there the socket lookup finds the proxy's socket. */
INLINE int to_proxy(struct hook *h)
{
	count_packet(FORWARDED, h->direction, h->packet.length);
	h->skb->mark = h->config->steer_mark;
	return TC_ACT_OK;
}

INLINE int assign_listener(struct hook *h, __u32 slot)
{
	struct bpf_sock *listener;
	long error;

	if (slot >= h->config->worker_slots)
		return drop(h, DROP_NO_LISTENER);
	listener = bpf_map_lookup_elem(&listeners, &slot);
	if (!listener)
		return drop(h, DROP_NO_LISTENER);
	error = bpf_sk_assign(h->skb, listener, 0);
	bpf_sk_release(listener);
	if (error)
		return drop(h, DROP_ASSIGN_FAILED);
	return to_proxy(h);
}

/* Nobody is there for this packet: its sender is told so, for nothing else would tell it. */
OUTLINE int reset_sender(struct hook *h, int reason)
{
	struct segment s;
	int action = drop(h, reason);

	if ((h->packet.tcp_flags & TCP_RST) || !read_segment(h, &s) ||
	    !make_reset(h, &s, RESET_SENDER, h->endpoint))
		return action;
	return bpf_redirect_peer(h->skb->ifindex, 0);
}

/* A packet of a steered connection, from either pod. */
INLINE int steer(struct hook *h, __u32 slot)
{
	/* The stack reassembles fragments and finds the socket by itself; a listener it would find is not the proxy's. */
	if (h->packet.fragment)
		return is_syn(&h->packet) ? drop(h, DROP_NOT_STEERED) : to_proxy(h);
	if (has_socket(h))
		return to_proxy(h);
	if (is_syn(&h->packet) && !h->is_reply)
		return assign_listener(h, slot);
	return reset_sender(h, DROP_NOT_STEERED);
}

/* The connection was ended from here: forgotten soon, reported once. */
INLINE void end_connection(struct hook *h)
{
	struct ct_entry *entry = bpf_map_lookup_elem(&conntrack, &h->asked.key);

	if (!entry)
		return;
	entry->expires = h->now + CT_TCP_CLOSING;
	if (!(__sync_fetch_and_or(&entry->flags, CT_RESET | CT_CLOSED) & CT_CLOSED))
		emit_flow(h, entry, FLOW_CLOSED);
}

/*
 * The connection runs without the proxy and may not any more. Its sender gets a RST on its own interface; what reaches the
 * receiver in place of the packet is a RST too. Either side that does not believe it (wrong sequence number) is reset by
 * its own next packet.
 */
OUTLINE int cut_connection(struct hook *h)
{
	struct segment s;
	int action;

	if ((h->packet.tcp_flags & TCP_RST) && !h->packet.fragment)
		return deliver(h);
	action = drop(h, DROP_CUT);
	end_connection(h);
	if (!read_segment(h, &s) || !make_reset(h, &s, RESET_SENDER, h->endpoint))
		return action;
	bpf_clone_redirect(h->skb, h->skb->ifindex, 0);
	if (!make_reset(h, &s, RESET_RECEIVER, NULL))
		return action;
	h->packet.hops = RESET_TTL;
	return deliver(h);
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Connections: one entry for both directions. An entry's verdict never changes in place: a new verdict is a new entry
 * under the same key, so that readers see the old one or the new one and an element that LRU gave away is never written.
 */
#pragma once
#include "hook.h"

/* Seconds without a packet after which a connection is forgotten (compat: ct-timeout-*). */
#define CT_TCP_ESTABLISHED 8000
#define CT_TCP_SYN 60
#define CT_TCP_CLOSING 10
#define CT_ANY 60

/* True if (a, port) sorts before or equal to (b, other port): bytes, then the port as a number. */
INLINE bool sorts_first(const struct addr *a, __be16 port, const struct addr *b, __be16 other)
{
	__u64 x = bpf_be64_to_cpu(half(a, 0)), y = bpf_be64_to_cpu(half(b, 0));

	if (x == y) {
		x = bpf_be64_to_cpu(half(a, 1));
		y = bpf_be64_to_cpu(half(b, 1));
	}
	if (x == y)
		return bpf_ntohs(port) <= bpf_ntohs(other);
	return x < y;
}

/* Fills `key`; returns whether the source is end a. */
INLINE bool ct_key_of(const struct packet *p, struct ct_key *key)
{
	bool first = sorts_first(&p->source, p->source_port, &p->destination, p->destination_port);

	if (first) {
		key->ip_a = p->source;
		key->ip_b = p->destination;
		key->port_a = p->source_port;
		key->port_b = p->destination_port;
	} else {
		key->ip_a = p->destination;
		key->ip_b = p->source;
		key->port_a = p->destination_port;
		key->port_b = p->source_port;
	}
	key->protocol = p->protocol;
	__builtin_memset(key->pad, 0, sizeof(key->pad));
	return first;
}

INLINE bool is_expired(const struct ct_entry *entry, __u32 now)
{
	return (__s32)(entry->expires - now) <= 0;
}

/* The first packet of a TCP connection, and nothing else. */
INLINE bool is_syn(const struct packet *p)
{
	return p->protocol == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

INLINE bool is_closed(__u32 flags)
{
	return (flags & CT_RESET) || (flags & (CT_FIN_FORWARD | CT_FIN_REPLY)) == (CT_FIN_FORWARD | CT_FIN_REPLY);
}

INLINE __u32 ct_lifetime(__u8 protocol, __u32 flags)
{
	if (protocol != IPPROTO_TCP)
		return CT_ANY;
	if (is_closed(flags))
		return CT_TCP_CLOSING;
	return flags & CT_REPLIED ? CT_TCP_ESTABLISHED : CT_TCP_SYN;
}

/* Bits that the packet adds to the entry. */
INLINE __u32 ct_progress(const struct packet *p, bool forward)
{
	__u32 flags = forward ? 0 : CT_REPLIED;

	if (p->protocol != IPPROTO_TCP)
		return flags;
	if (p->tcp_flags & TCP_FIN)
		flags |= forward ? CT_FIN_FORWARD : CT_FIN_REPLY;
	if (p->tcp_flags & TCP_RST)
		flags |= CT_RESET;
	return flags;
}

/* Only while the connection lives, and at most once a second, to leave the cache line alone. */
INLINE void ct_touch(struct ct_entry *entry, const struct hook *h, __u32 flags)
{
	__u32 expires = h->now + ct_lifetime(h->packet.protocol, flags);

	if (entry->expires != expires)
		entry->expires = expires;
}

/* Counts the packet and follows the connection. Returns true for the packet that closed it, once. */
INLINE bool ct_account(struct ct_entry *entry, const struct hook *h, bool forward)
{
	struct ct_side *side = forward ? &entry->forward : &entry->reply;
	__u32 add = ct_progress(&h->packet, forward);
	__u32 flags = entry->flags;

	side->packets++;
	side->bytes += h->packet.length;
	if (unlikely(add & ~flags)) {
		flags |= add;
		__sync_fetch_and_or(&entry->flags, add);
	}
	ct_touch(entry, h, flags);
	if (likely(h->packet.protocol != IPPROTO_TCP || (flags & CT_CLOSED) || !is_closed(flags)))
		return false;
	return !(__sync_fetch_and_or(&entry->flags, CT_CLOSED) & CT_CLOSED);
}

/* Puts `entry` under the packet's key. False: no room, which is counted. */
INLINE bool ct_store(const struct hook *h, const struct ct_entry *entry)
{
	return bpf_map_update_elem(&conntrack, &h->asked.key, entry, BPF_ANY) == 0;
}

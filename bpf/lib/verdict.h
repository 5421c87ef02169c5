/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* From packet to verdict: the cached one of its connection, or a new one. */
#pragma once
#include "conntrack.h"
#include "decide.h"
#include "events.h"
#include "steer.h"

INLINE bool is_echo_request(const struct packet *p)
{
	return p->icmp_type == (p->family == 4 ? ICMP_ECHO : ICMPV6_ECHO_REQUEST);
}

/* The packet begins a connection although an entry for its addresses and ports exists. */
INLINE bool starts_anew(const struct hook *h, __u32 flags)
{
	if (h->origin == ORIGIN_PROXY || !is_syn(&h->packet))
		return false;
	return h->is_reply || (flags & (CT_REPLIED | CT_FIN_FORWARD | CT_FIN_REPLY | CT_RESET | CT_CUT));
}

/* Echo requests both ways with identifier 0 share one key: they must not pass for each other's replies. */
INLINE bool is_crossed_echo(const struct hook *h)
{
	const struct packet *p = &h->packet;

	return is_icmp(p->protocol) && p->fragment != FRAGMENT_LATER && is_echo_request(p) == h->is_reply;
}

/* The live entry of the packet's connection, or NULL. Sets h->is_reply. */
INLINE struct ct_entry *live_entry(struct hook *h)
{
	struct ct_entry *entry = bpf_map_lookup_elem(&conntrack, &h->asked.key);

	h->is_reply = 0;
	if (!entry || is_expired(entry, h->now))
		return NULL;
	h->is_reply = h->source_is_a != !!(entry->flags & CT_INITIATOR_A);
	return entry;
}

/* The fast path: the entry, if its verdict is "pass" under the current revision and this packet may use it. */
INLINE struct ct_entry *current_entry(struct hook *h)
{
	struct ct_entry *entry = live_entry(h);
	__u32 flags;

	if (!entry)
		return NULL;
	flags = entry->flags;
	if (entry->revision != h->revision || (flags & (CT_DENIED | CT_CUT)))
		return NULL;
	if (unlikely(starts_anew(h, flags) || is_crossed_echo(h)))
		return NULL;
	return entry;
}

INLINE bool is_service(const struct hook *h)
{
	struct service_key key = { .ip = h->packet.destination,
				   .port = h->packet.destination_port,
				   .protocol = h->packet.protocol };

	return bpf_map_lookup_elem(&services, &key) != NULL;
}

/* An empty entry whose initiator sent the packet at hand. */
INLINE struct ct_entry *blank_entry(struct hook *h)
{
	__u32 zero = 0;
	struct ct_entry *e = bpf_map_lookup_elem(&scratch, &zero);

	if (!e)
		return NULL;
	__builtin_memset(e, 0, sizeof(*e));
	e->flags = h->source_is_a ? CT_INITIATOR_A : 0;
	if (h->at_host && h->direction == POLICY_EGRESS && h->origin == ORIGIN_NETWORK)
		e->flags |= CT_FORWARDED;
	e->source_identity = h->origin == ORIGIN_HOST || h->origin == ORIGIN_PROXY ? IDENTITY_HOST : 0;
	h->is_reply = 0;
	h->entry = e;
	return e;
}

/* Is a TCP packet at the node's device sent by the server? A port is a server's if somebody listens on it. */
INLINE bool is_answer(const struct hook *h)
{
	if (h->direction == POLICY_EGRESS)
		return has_listener(h, &h->packet.source, h->packet.source_port);
	return has_socket(h) && !has_listener(h, &h->packet.destination, h->packet.destination_port);
}

/*
 * The middle of a TCP connection that nobody remembers: either end may have begun it. It goes on only where policy allows
 * it read either way, or no deny would last longer than an entry. What one reading hands to the proxy is read so: if the
 * proxy has no socket for it, it ends in a reset.
 */
OUTLINE int decide_midstream(struct hook *h, struct ct_entry *e)
{
	__u32 sender = e->source_identity;
	int answer, reason;

	e->flags ^= CT_INITIATOR_A;
	e->source_identity = 0;
	h->is_reply = 1;
	answer = decide(h, e, false);
	if (!answer && wants_proxy(e))
		return 0;
	h->is_reply = 0;
	e->flags ^= CT_INITIATOR_A;
	e->source_identity = sender;
	reason = decide(h, e, true);
	if (!reason && (!answer || wants_proxy(e)))
		return 0;
	if (reason == DROP_ENDPOINT_NOT_READY || answer == DROP_ENDPOINT_NOT_READY)
		return DROP_ENDPOINT_NOT_READY;
	return reason && answer ? reason : DROP_UNTRACKED;
}

OUTLINE int new_connection(struct hook *h)
{
	struct ct_entry *e = blank_entry(h);
	bool midstream = h->packet.protocol == IPPROTO_TCP && !is_syn(&h->packet);
	int reason;

	if (!e)
		return DROP_CT_FULL;
	if (h->origin == ORIGIN_PROXY)
		return DROP_NOT_STEERED;
	if (h->origin == ORIGIN_POD && is_service(h))
		return DROP_CLUSTER_IP;
	if (midstream && h->at_host) {
		/* at the node's device, where nobody watched while it began */
		if (is_answer(h)) {
			e->flags ^= CT_INITIATOR_A;
			h->is_reply = 1;
		}
		midstream = false;
	}
	reason = midstream ? decide_midstream(h, e) : decide(h, e, true);
	if (reason)
		return reason;
	if (wants_proxy(e)) {
		if (h->origin != ORIGIN_POD)
			return DROP_CANNOT_STEER;
		e->flags |= CT_STEERED;
	} else if (h->origin == ORIGIN_POD && midstream && is_plain(&h->packet) && has_socket(h)) {
		e->flags |= CT_STEERED; /* its entry was lost, but the proxy still has it */
	}
	e->slot = worker_slot(h);
	e->expires = h->now + ct_lifetime(h->packet.protocol, e->flags);
	if (!ct_store(h, e)) {
		count_loss(LOSS_CONNTRACK);
		return DROP_CT_FULL;
	}
	emit_flow(h, e, FLOW_NEW);
	return 0;
}

/* A policy has changed since the verdict in `old` was made. Returns 0, DROP_CUT or another drop reason. */
OUTLINE int renew_verdict(struct hook *h, const struct ct_entry *old)
{
	__u32 zero = 0, before = verdict_kind(old);
	struct ct_entry *e = bpf_map_lookup_elem(&scratch, &zero);
	int reason;

	if (!e)
		return DROP_CT_FULL;
	*e = *old;
	h->entry = e;
	reason = decide(h, e, false);
	if (reason == DROP_ENDPOINT_NOT_READY)
		return reason; /* a state of the moment, not a verdict */
	e->flags &= ~(CT_DENIED | CT_CUT);
	if (reason)
		e->flags |= CT_DENIED;
	else if (wants_proxy(e) && !(e->flags & CT_STEERED))
		e->flags |= CT_CUT;
	/* without room the old entry stays, whose revision makes the next packet come here again */
	if (!ct_store(h, e))
		count_loss(LOSS_CONNTRACK);
	if (verdict_kind(e) != before)
		emit_flow(h, e, FLOW_CHANGED);
	return reason ? reason : e->flags & CT_CUT ? DROP_CUT : 0;
}

/* What `entry` says now, renewed if it is older than the policy. Returns 0, DROP_CUT or another drop reason. */
INLINE int entry_reason(struct hook *h, const struct ct_entry *entry)
{
	int reason;

	h->entry = entry;
	if (entry->revision != h->revision)
		return renew_verdict(h, entry);
	if (entry->flags & CT_CUT)
		return DROP_CUT;
	if (!(entry->flags & CT_DENIED))
		return 0;
	reason = actions_reason(entry, &h->drop_direction);
	return reason ? reason : DROP_NO_PROXY_PROTOCOL;
}

/* The slow path. 0: passes, and the entry says how; else IS_STATELESS or a drop reason. */
OUTLINE int decide_packet(struct hook *h)
{
	const struct packet *p = &h->packet;
	const struct ct_entry *entry = live_entry(h);

	if (entry && is_crossed_echo(h))
		return IS_STATELESS;
	if (entry && !starts_anew(h, entry->flags))
		return entry_reason(h, entry);
	if (is_icmp(p->protocol) && p->fragment != FRAGMENT_LATER && !is_echo_request(p))
		return IS_STATELESS; /* a reply that nobody asked for */
	return new_connection(h);
}

/* Policy for a packet that belongs to no connection. Returns 0 or a drop reason. */
OUTLINE int decide_stateless(struct hook *h)
{
	struct ct_entry *e;
	int reason;

	h->packet.kind = PACKET_STATELESS;
	h->packet.source_port = h->packet.destination_port = 0;
	h->source_is_a = ct_key_of(&h->packet, &h->asked.key);
	e = blank_entry(h);
	if (!e)
		return DROP_CT_FULL;
	reason = decide(h, e, true);
	/* it has no entry that would be news once: as rare as the drops that it stands for */
	if (!reason && is_audited(e) && within_budget(h, DROP_POLICY_DENIED, h->config->drop_events_per_second))
		emit_flow(h, e, FLOW_NEW);
	return reason;
}

/* Counts the packet and tells when it was the connection's last. */
INLINE void account(struct hook *h, struct ct_entry *entry)
{
	if (unlikely(ct_account(entry, h, !h->is_reply)))
		emit_flow(h, entry, FLOW_CLOSED);
}

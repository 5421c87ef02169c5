/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who may talk to whom: what the policies say of those that live here. */
#pragma once
#include "count.h"
#include "party.h"

#define POLICY_FIXED_BITS 72 /* subject, peer, direction */
#define POLICY_L4_BITS 24 /* protocol, port */

/* Of verdict_kind(), beside the CT_* bits. */
#define AUDITED_EGRESS (1U << 30)
#define AUDITED_INGRESS (1U << 31)

/* What one question to the policy needs. */
struct question {
	__u32 subject;
	__u32 peer;
	__u8 direction;
	__u8 protocol;
	__be16 port;
	__u32 now; /* the answer is counted as of this second; 0: it is not, for it has been before */
	__u32 audit; /* a denial passes and is reported */
};
struct answer {
	struct policy_value value;
	__u8 action;
	__u8 match;
	__u16 pad;
};

INLINE __u8 match_of(const struct policy_value *value, bool of_peer)
{
	if (value->l4_bits == 0)
		return of_peer ? MATCH_L3_ONLY : MATCH_ALL;
	if (value->l4_bits == 8)
		return of_peer ? MATCH_L3_PROTO : MATCH_PROTO_ONLY;
	return of_peer ? MATCH_L3_L4 : MATCH_L4_ONLY;
}

INLINE bool add_use(const struct policy_key *key, const struct question *q, bool audited)
{
	struct policy_counter *counter = bpf_map_lookup_elem(&policy_counters, key);

	if (!counter)
		return false;
	__sync_fetch_and_add(&counter->hits, 1);
	if (audited)
		__sync_fetch_and_add(&counter->audited, 1);
	if (counter->last_used != q->now)
		counter->last_used = q->now;
	return true;
}

/* Counts the use of the entry that has the answer; no entry has a counter too, without peer, for each subject and direction. */
OUTLINE void count_use(const struct question *q, const struct answer *a)
{
	__u32 bits = a->value.l4_bits <= POLICY_L4_BITS ? a->value.l4_bits : POLICY_L4_BITS;
	struct policy_key key = { .subject = q->subject, .direction = q->direction };
	bool audited = a->action == ACTION_AUDIT;
	struct policy_counter first = { .hits = 1, .audited = audited, .last_used = q->now };

	if (a->match != MATCH_NONE)
		key.prefixlen = POLICY_FIXED_BITS + bits;
	if (a->match == MATCH_L3_ONLY || a->match == MATCH_L3_PROTO || a->match == MATCH_L3_L4)
		key.peer = q->peer;
	if (bits)
		key.protocol = q->protocol;
	if (bits > 8)
		key.port = q->port & bpf_htons(0xffff << (POLICY_L4_BITS - bits));
	if (add_use(&key, q, audited) || !bpf_map_update_elem(&policy_counters, &key, &first, BPF_NOEXIST))
		return;
	/* another CPU was first, or there is no room */
	if (!add_use(&key, q, audited))
		count_loss(LOSS_POLICY_COUNTER);
}

/*
 * Precedence:
 *  1. The longest prefix of protocol and port among the entries for the peer, and likewise among those for any peer.
 *  2. Of these two, the higher precedence wins.
 *  3. Equal precedence: the one with more significant bits of protocol and port.
 *  4. Equal again: the one for the peer.
 *  5. No entry: denied.
 *  6. In audit mode what is denied passes as ACTION_AUDIT. What goes to the proxy goes there all the same.
 */
OUTLINE void ask_policy(const struct question *q, struct answer *out)
{
	struct policy_key key = { POLICY_FIXED_BITS + POLICY_L4_BITS, q->subject, q->peer, q->direction, q->protocol, q->port };
	const struct policy_value *of_peer = bpf_map_lookup_elem(&policy, &key);
	const struct policy_value *of_any, *winner;

	key.peer = 0;
	of_any = bpf_map_lookup_elem(&policy, &key); /* 1 */
	winner = of_peer;
	if (!of_peer)
		winner = of_any;
	else if (of_any && of_any->precedence > of_peer->precedence) /* 2 */
		winner = of_any;
	else if (of_any && of_any->precedence == of_peer->precedence && of_any->l4_bits > of_peer->l4_bits) /* 3, 4 */
		winner = of_any;
	__builtin_memset(out, 0, sizeof(*out));
	out->action = ACTION_DENY; /* 5, and an action that this program does not know */
	out->match = MATCH_NONE;
	if (winner) {
		out->value = *winner;
		out->match = match_of(winner, winner == of_peer);
		if (winner->action == ACTION_ALLOW || winner->action == ACTION_REDIRECT || winner->action == ACTION_AUDIT)
			out->action = winner->action;
	}
	if (out->action == ACTION_DENY && q->audit) /* 6 */
		out->action = ACTION_AUDIT;
}

/* One after the other, not one within the other: their frames together are more than the stack has room for. */
INLINE void ask_and_count(const struct question *q, struct answer *out)
{
	ask_policy(q, out);
	if (q->now)
		count_use(q, out);
}

/* The port that policy is asked for: the responder's, or the ICMP type. */
INLINE __be16 policy_port(const struct hook *h, bool initiator_is_a)
{
	const struct packet *p = &h->packet;

	if (h->asked.key.protocol == IPPROTO_ICMP)
		return bpf_htons(p->kind == PACKET_STATELESS ? p->icmp_type : ICMP_ECHO);
	if (h->asked.key.protocol == IPPROTO_ICMPV6)
		return bpf_htons(p->kind == PACKET_STATELESS ? p->icmp_type : ICMPV6_ECHO_REQUEST);
	return initiator_is_a ? h->asked.key.port_b : h->asked.key.port_a;
}

INLINE bool wants_proxy(const struct ct_entry *e)
{
	return e->egress_action == ACTION_REDIRECT || e->ingress_action == ACTION_REDIRECT;
}

INLINE bool is_audited(const struct ct_entry *e)
{
	return e->egress_action == ACTION_AUDIT || e->ingress_action == ACTION_AUDIT;
}

/* The same while the verdict is of the same kind. */
INLINE __u32 verdict_kind(const struct ct_entry *e)
{
	return (e->flags & (CT_DENIED | CT_CUT | CT_STEERED)) |
	       (e->egress_action == ACTION_AUDIT ? AUDITED_EGRESS : 0) |
	       (e->ingress_action == ACTION_AUDIT ? AUDITED_INGRESS : 0);
}

INLINE int deny_reason(__u8 match)
{
	return match == MATCH_NONE ? DROP_POLICY_DENIED : DROP_POLICY_DENY;
}

INLINE void ask_egress(struct ct_entry *e, struct question *q, bool audit)
{
	struct answer a;

	q->subject = e->source_identity;
	q->peer = e->destination_identity;
	q->direction = POLICY_EGRESS;
	q->audit = audit;
	ask_and_count(q, &a);
	e->egress_action = a.action;
	e->egress_match = a.match;
	e->egress_cookie = a.value.cookie;
	e->egress_ruleset = a.action == ACTION_REDIRECT ? a.value.ruleset : 0;
}

INLINE void ask_ingress(struct ct_entry *e, struct question *q, bool audit)
{
	struct answer a;

	q->subject = e->destination_identity;
	q->peer = e->source_identity;
	q->direction = POLICY_INGRESS;
	q->audit = audit;
	ask_and_count(q, &a);
	e->ingress_action = a.action;
	e->ingress_match = a.match;
	e->ingress_cookie = a.value.cookie;
	e->ingress_ruleset = a.action == ACTION_REDIRECT ? a.value.ruleset : 0;
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who may talk to whom: what the policies say of those that live here. */
#pragma once
#include "count.h"
#include "editions.h"
#include "party.h"

#define NO_ENTRY 255 /* as l4_bits of a counter */

/* Of verdict_kind(), beside the CT_* bits. */
#define AUDITED_EGRESS (1U << 30)
#define AUDITED_INGRESS (1U << 31)

INLINE bool add_use(const struct policy_counter_key *key, bool audited, __u32 now)
{
	struct policy_counter *counter = bpf_map_lookup_elem(&policy_counters, key);

	if (!counter)
		return false;
	__sync_fetch_and_add(&counter->hits, 1);
	if (audited)
		__sync_fetch_and_add(&counter->audited, 1);
	if (counter->last_used != now)
		counter->last_used = now;
	return true;
}

/* Counts the use of the entry that has the answer; no entry has a counter too, for each subject and direction. */
OUTLINE void count_use(const struct question *q, const struct answer *a, __u32 now)
{
	__u32 bits = a->value.l4_bits <= POLICY_L4_BITS ? a->value.l4_bits : POLICY_L4_BITS;
	struct policy_counter_key key = { .subject = q->subject, .direction = q->direction, .l4_bits = NO_ENTRY };
	bool audited = a->action == ACTION_AUDIT;
	struct policy_counter first = { .hits = 1, .audited = audited, .last_used = now };

	if (a->match != MATCH_NONE) {
		key.peers = a->peers;
		key.l4_bits = bits;
		if (bits)
			key.protocol = q->protocol;
		if (bits > 8)
			key.port = q->port & bpf_htons(0xffff << (POLICY_L4_BITS - bits));
	}
	if (add_use(&key, audited, now) || !bpf_map_update_elem(&policy_counters, &key, &first, BPF_NOEXIST))
		return;
	/* another CPU was first, or there is no room */
	if (!add_use(&key, audited, now))
		count_loss(LOSS_POLICY_COUNTER);
}

/* More of it passes, or sooner. */
INLINE int wideness(__u8 action)
{
	return action == ACTION_ALLOW || action == ACTION_AUDIT ? 2 : action == ACTION_REDIRECT ? 1 : 0;
}

/*
 * Precedence:
 *  1. For any peer, and for each set that the peer belongs to: the entry with the longest prefix of protocol and port.
 *  2. Of these, the highest precedence wins: deny before redirect and refuse, these before allow.
 *  3. Equal precedence: the one with more significant bits of protocol and port.
 *  4. Equal again: one for a set that the peer belongs to, before one for any peer.
 *  5. No entry: denied. Likewise a peer of which it is not known in which sets it is, or not in all.
 *  6. Denied as well, as without an entry, if no entry lets it pass: "refuse" by itself lets nothing pass.
 *  7. While policy changes, the narrower of the answers of two editions; of a peer that only one knows, its answer.
 *  8. What is no longer in force when the answer is there may be half deleted: denied, until the revision is raised.
 *  9. In audit mode what is denied passes as ACTION_AUDIT. What goes to the proxy goes there all the same.
 */
WALKED_ONCE int ask_policy(const struct question *q, struct answer *out)
{
	__u32 zero = 0;
	struct policy_scratch *rows = bpf_map_lookup_elem(&policy_scratch, &zero);
	const struct edition_use *use;
	if (!q || !out)
		return 0;
	*out = (struct answer){ .action = ACTION_DENY };
	if (!rows)
		return 0;
	if (read_subject(&rows->subject, q->subject)) {
		use = q->direction == POLICY_EGRESS ? &rows->subject.egress : &rows->subject.ingress;
		if (use->edition)
			ask_edition(q, rows, out, use->edition);
		if (use->edition && use->also && out->only != PEER_FIRST) { /* 7 */
			rows->second = (struct answer){};
			ask_edition(q, rows, &rows->second, use->also);
			if (rows->second.only == PEER_SECOND || wideness(rows->second.action) <= wideness(out->action))
				*out = rows->second;
		}
		if (!is_in_force(q, rows)) /* 8 */
			*out = (struct answer){ .action = ACTION_DENY };
	}
	if (out->action == ACTION_DENY && q->audit) /* 9 */
		out->action = ACTION_AUDIT;
	return 0;
}

/* One after the other, not one within the other: their frames together are more than the stack has room for. */
INLINE void ask_and_count(const struct question *q, struct answer *out, __u32 now)
{
	ask_policy(q, out);
	if (now)
		count_use(q, out, now);
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

INLINE void ask_egress(struct ct_entry *e, struct question *q, __u32 now)
{
	struct answer a = {};

	q->subject = e->source_identity;
	q->peer = e->destination_identity;
	q->direction = POLICY_EGRESS;
	ask_and_count(q, &a, now);
	e->egress_action = a.action;
	e->egress_match = a.match;
	e->egress_cookie = a.value.cookie;
	e->egress_ruleset = a.action == ACTION_REDIRECT ? a.value.ruleset : 0;
}

INLINE void ask_ingress(struct ct_entry *e, struct question *q, __u32 now)
{
	struct answer a = {};

	q->subject = e->destination_identity;
	q->peer = e->source_identity;
	q->direction = POLICY_INGRESS;
	ask_and_count(q, &a, now);
	e->ingress_action = a.action;
	e->ingress_match = a.match;
	e->ingress_cookie = a.value.cookie;
	e->ingress_ruleset = a.action == ACTION_REDIRECT ? a.value.ruleset : 0;
}

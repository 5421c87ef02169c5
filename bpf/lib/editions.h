/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What one edition of a subject's policy says of a peer. The rules are numbered in policy.h. */
#pragma once
#include "maps.h"

#define POLICY_FIXED_BITS 72 /* edition, peers, pad */
#define POLICY_L4_BITS 24 /* protocol, port */

/* What one question to the policy needs. */
struct question {
	__u32 subject;
	__u32 peer;
	__u8 direction;
	__u8 protocol;
	__be16 port;
	__u32 audit; /* a denial passes and is reported */
};

INLINE __u8 match_of(const struct policy_value *value, bool of_peers)
{
	if (value->l4_bits == 0)
		return of_peers ? MATCH_L3_ONLY : MATCH_ALL;
	if (value->l4_bits == 8)
		return of_peers ? MATCH_L3_PROTO : MATCH_PROTO_ONLY;
	return of_peers ? MATCH_L3_L4 : MATCH_L4_ONLY;
}

/* Takes an entry into account: rules 2 to 4. */
INLINE void weigh(struct answer *best, const struct policy_value *value, __u32 peers)
{
	if (!value)
		return;
	if (value->action == ENTRY_ALLOW || value->action == ENTRY_REDIRECT)
		best->lets_pass = 1;
	if (best->match != MATCH_NONE) {
		if (value->precedence < best->value.precedence)
			return;
		if (value->precedence == best->value.precedence && value->l4_bits < best->value.l4_bits)
			return;
	}
	best->value = *value;
	best->peers = peers;
	best->match = match_of(value, peers != 0);
}

/* What the winner does: rules 5 and 6. */
INLINE __u8 action_of(const struct answer *best)
{
	if (best->match == MATCH_NONE)
		return ACTION_DENY;
	if (best->value.action == ENTRY_ALLOW)
		return ACTION_ALLOW;
	if (best->value.action == ENTRY_AUDIT)
		return ACTION_AUDIT;
	if (best->value.action == ENTRY_REDIRECT || (best->value.action == ENTRY_REFUSE && best->lets_pass))
		return ACTION_REDIRECT;
	return ACTION_DENY; /* also an action that this program does not know */
}

/* Have all sets of the peer been looked at? */
enum block_state { BLOCK_MISSING, BLOCK_LAST, BLOCK_MORE };

/* A row that was replaced while it was copied is read again once; it does not happen twice. */
#define READS 2

/* Copies the row of a subject. False: there is none. */
INLINE bool read_subject(struct subject_value *copy, __u32 identity)
{
	for (int i = 0; i < READS; i++) {
		const struct subject_value *row = bpf_map_lookup_elem(&subjects, &identity);

		if (!row)
			return false;
		*copy = *row;
		barrier();
		if (*(const volatile __u32 *)&row->identity == identity)
			return true;
	}
	return false;
}

/* Are the editions of the copied row still those of the subject? */
WALKED_ONCE int is_in_force(const struct question *q, const struct policy_scratch *rows)
{
	const struct edition_use *was, *is;
	const struct subject_value *row;
	__u32 identity;

	if (!q || !rows)
		return 0;
	identity = q->subject;
	row = bpf_map_lookup_elem(&subjects, &identity);
	if (!row)
		return 0;
	is = q->direction == POLICY_EGRESS ? &row->egress : &row->ingress;
	was = q->direction == POLICY_EGRESS ? &rows->subject.egress : &rows->subject.ingress;
	return is->edition == was->edition && is->also == was->also;
}

/* Copies a block of a peer. False: there is none. */
INLINE bool read_block(struct peer_sets_value *copy, const struct peer_sets_key *place)
{
	for (int i = 0; i < READS; i++) {
		const struct peer_sets_value *row = bpf_map_lookup_elem(&peer_sets, place);

		if (!row)
			return false;
		*copy = *row;
		barrier();
		if (*(const volatile __u32 *)&row->identity == place->identity)
			return true;
	}
	return false;
}

/* Weighs what an edition says of the sets in one block of the peer's; with the first, also of any peer. enum block_state. */
WALKED_ONCE int ask_block(const struct question *q, struct policy_scratch *rows, struct answer *best, __u32 edition,
			  __u32 block)
{
	struct policy_key key = { .prefixlen = POLICY_FIXED_BITS + POLICY_L4_BITS, .edition = edition };
	struct peer_sets_key place = { .block = block };
	const struct peer_sets_value *row;
	const struct edition_use *use;

	if (!q || !rows || !best)
		return BLOCK_MISSING;
	key.protocol = q->protocol;
	key.port = q->port;
	if (block == 0)
		weigh(best, bpf_map_lookup_elem(&policy, &key), 0);
	place.identity = q->peer;
	if (!read_block(&rows->peer, &place))
		return BLOCK_MISSING;
	row = &rows->peer;
	use = q->direction == POLICY_EGRESS ? &rows->subject.egress : &rows->subject.ingress;
	if (block == 0)
		best->only = row->only;
	for (int i = 0; i < PEER_SETS_EACH; i++) {
		__u32 set = row->sets[i];

		if (!set || !(use->filter[set / 32 % 8] & (1U << (set % 32))))
			continue;
		key.peers = set;
		weigh(best, bpf_map_lookup_elem(&policy, &key), set);
	}
	return row->more ? BLOCK_MORE : BLOCK_LAST;
}

/* What one edition says. A peer without a last block is denied. `out`: nothing but an action is in it before. */
INLINE void ask_edition(const struct question *q, struct policy_scratch *rows, struct answer *out, __u32 edition)
{
	int state = BLOCK_MORE;

	for (__u32 block = 0; block < PEER_SET_BLOCKS && state == BLOCK_MORE; block++)
		state = ask_block(q, rows, out, edition, block);
	out->action = action_of(out);
	if (state != BLOCK_LAST || (out->value.action == ENTRY_REFUSE && !out->lets_pass)) /* 5, 6 */
		*out = (struct answer){ .action = ACTION_DENY, .only = out->only };
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who may talk to whom: identities of both ends, and what the policies of those that live here say. */
#pragma once
#include "count.h"
#include "hook.h"

#define IDENTITY_HOST 1
#define IDENTITY_WORLD_IPV4 9
#define IDENTITY_WORLD_IPV6 10
#define ADDR_BITS 128
#define POLICY_BITS 96 /* subject, peer, direction, protocol, port */

struct party {
	__u32 identity;
	__u8 local; /* an endpoint of this node: its policy is asked */
	__u8 node; /* an address of the node itself */
	__u16 pad;
};

/* What one question to the policy needs. */
struct question {
	__u32 subject;
	__u32 peer;
	__u8 direction;
	__u8 protocol;
	__be16 port;
};
struct answer {
	struct policy_value value;
	__u8 action;
	__u8 match;
};

/* Who has the address. Returns 0 or a drop reason. */
OUTLINE int resolve(const struct addr *ip, struct party *out)
{
	const struct endpoint *endpoint = bpf_map_lookup_elem(&endpoint_addrs, ip);
	const struct identity_value *known;
	struct identity_key key;

	out->local = !!endpoint;
	out->node = 0;
	if (endpoint) {
		out->identity = endpoint->identity;
		return 0;
	}
	key.prefixlen = ADDR_BITS;
	key.ip = *ip;
	known = bpf_map_lookup_elem(&identities, &key);
	if (!known) {
		out->identity = is_mapped(ip) ? IDENTITY_WORLD_IPV4 : IDENTITY_WORLD_IPV6;
		return 0;
	}
	out->identity = known->identity;
	out->node = !!(known->flags & ADDR_NODE);
	return known->flags & ADDR_MANAGED ? DROP_ENDPOINT_NOT_READY : 0;
}

INLINE __u8 match_of(const struct policy_value *value, bool of_peer)
{
	if (value->l4_bits == 0)
		return of_peer ? MATCH_L3_ONLY : MATCH_ALL;
	if (value->l4_bits == 8)
		return of_peer ? MATCH_L3_PROTO : MATCH_PROTO_ONLY;
	return of_peer ? MATCH_L3_L4 : MATCH_L4_ONLY;
}

/*
 * Precedence:
 *  1. The longest prefix of protocol and port among the entries for the peer, and likewise among those for any peer.
 *  2. Of these two, the higher precedence wins.
 *  3. Equal precedence: the one with more significant bits of protocol and port.
 *  4. Equal again: the one for the peer.
 *  5. No entry: denied.
 */
OUTLINE void ask_policy(const struct question *q, struct answer *out)
{
	struct policy_key key = { POLICY_BITS, q->subject, q->peer, q->direction, q->protocol, q->port };
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
	if (!winner) {
		out->action = ACTION_DENY; /* 5 */
		out->match = MATCH_NONE;
		return;
	}
	out->value = *winner;
	out->match = match_of(winner, winner == of_peer);
	out->action = winner->action;
	/* an action that this program does not know is not an allow */
	if (out->action != ACTION_ALLOW && out->action != ACTION_REDIRECT && out->action != ACTION_AUDIT)
		out->action = ACTION_DENY;
}

/* The port that policy is asked for: the responder's, or the ICMP type. */
INLINE __be16 policy_port(const struct hook *h, bool initiator_is_a)
{
	const struct packet *p = &h->packet;

	if (h->key.protocol == IPPROTO_ICMP)
		return bpf_htons(p->kind == PACKET_STATELESS ? p->icmp_type : ICMP_ECHO);
	if (h->key.protocol == IPPROTO_ICMPV6)
		return bpf_htons(p->kind == PACKET_STATELESS ? p->icmp_type : ICMPV6_ECHO_REQUEST);
	return initiator_is_a ? h->key.port_b : h->key.port_a;
}

INLINE bool wants_proxy(const struct ct_entry *e)
{
	return e->egress_action == ACTION_REDIRECT || e->ingress_action == ACTION_REDIRECT;
}

INLINE int deny_reason(__u8 match)
{
	return match == MATCH_NONE ? DROP_POLICY_DENIED : DROP_POLICY_DENY;
}

/* The reason for which the verdict in `e` drops; 0: it does not. Sets whose policy it was. */
INLINE int verdict_reason(struct hook *h, const struct ct_entry *e)
{
	if (e->egress_action == ACTION_DENY) {
		h->drop_direction = POLICY_EGRESS;
		return deny_reason(e->egress_match);
	}
	if (e->ingress_action == ACTION_DENY) {
		h->drop_direction = POLICY_INGRESS;
		return deny_reason(e->ingress_match);
	}
	return 0;
}

INLINE void ask_egress(struct ct_entry *e, struct question *q)
{
	struct answer a;

	q->subject = e->source_identity;
	q->peer = e->destination_identity;
	q->direction = POLICY_EGRESS;
	ask_policy(q, &a);
	e->egress_action = a.action;
	e->egress_match = a.match;
	e->egress_cookie = a.value.cookie;
	e->egress_ruleset = a.action == ACTION_REDIRECT ? a.value.ruleset : 0;
}

INLINE void ask_ingress(struct ct_entry *e, struct question *q)
{
	struct answer a;

	q->subject = e->destination_identity;
	q->peer = e->source_identity;
	q->direction = POLICY_INGRESS;
	ask_policy(q, &a);
	e->ingress_action = a.action;
	e->ingress_match = a.match;
	e->ingress_cookie = a.value.cookie;
	e->ingress_ruleset = a.action == ACTION_REDIRECT ? a.value.ruleset : 0;
}

/*
 * Decides the connection h->key from scratch and writes identities, actions and revision to `e`, whose CT_INITIATOR_A
 * says who began it. IDENTITY_HOST in its source_identity says that it was a socket of the node: that is known by where
 * the packet came from, for the node may use addresses that no map holds. Returns 0 or a drop reason.
 */
OUTLINE int decide(struct hook *h, struct ct_entry *e)
{
	bool initiator_is_a = e->flags & CT_INITIATOR_A;
	struct question q = { .protocol = h->key.protocol };
	struct party initiator, responder;
	bool from_host = e->source_identity == IDENTITY_HOST;
	int reason;

	q.port = policy_port(h, initiator_is_a);
	e->revision = h->revision;
	e->egress_action = e->ingress_action = ACTION_NOT_ASKED;
	e->egress_match = e->ingress_match = MATCH_NONE;
	e->egress_cookie = e->ingress_cookie = 0;
	e->egress_ruleset = e->ingress_ruleset = 0;
	reason = resolve(initiator_is_a ? &h->key.ip_a : &h->key.ip_b, &initiator);
	if (reason)
		return reason;
	e->source_identity = from_host && !initiator.local && !initiator.node ? IDENTITY_HOST : initiator.identity;
	reason = resolve(initiator_is_a ? &h->key.ip_b : &h->key.ip_a, &responder);
	e->destination_identity = responder.identity;
	if (reason)
		return reason;
	if (initiator.local)
		ask_egress(e, &q);
	if (responder.local && e->source_identity == IDENTITY_HOST) {
		e->ingress_action = ACTION_ALLOW; /* probes and the node's own services always reach their pods */
		e->ingress_match = MATCH_ALL;
	} else if (responder.local) {
		ask_ingress(e, &q);
	}
	reason = verdict_reason(h, e);
	if (!reason && wants_proxy(e) && h->key.protocol != IPPROTO_TCP)
		return DROP_NO_PROXY_PROTOCOL;
	return reason;
}

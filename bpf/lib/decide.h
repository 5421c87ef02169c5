/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The verdict of a connection from scratch: both ends, and the policy of each that lives here. */
#pragma once
#include "policy.h"

#define RESOLVER_PORT 53

/* The two ends of a connection. */
struct parties {
	struct party initiator;
	struct party responder;
};

/*
 * Is the sender who it says it is? What the node's stack has sent on can only come from an endpoint of this node if it
 * came in by that endpoint's interface, and never from the node itself.
 */
INLINE bool is_forged(const struct asked *d, const struct party *sender)
{
	if (d->origin != ORIGIN_NETWORK)
		return false;
	if (d->at_host)
		return d->direction == POLICY_INGRESS && (sender->local || sender->node);
	return sender->node || (sender->local && sender->ifindex != d->ingress_ifindex);
}

INLINE void be_host(struct party *party)
{
	party->identity = IDENTITY_HOST;
	party->node = 1;
}

/* The resolver has an address of the node: its port is the resolver's, every other port of that address is the node's. */
INLINE bool is_not_resolver(const struct asked *d, const struct party *party)
{
	return party->node && d->port != bpf_htons(RESOLVER_PORT);
}

/*
 * Finds out who the ends of the key are. IDENTITY_HOST as source_identity of `e` says that a socket of the node began: that
 * is known by where the packet came from, for the node may use addresses that no map holds; so may it at its devices,
 * where one end of every packet is the node. Returns 0 or a drop reason.
 */
OUTLINE int find_parties(const struct asked *d, struct ct_entry *e, struct parties *ends)
{
	bool initiator_is_a = e->flags & CT_INITIATOR_A;
	bool from_host = e->source_identity == IDENTITY_HOST;
	struct party *initiator = &ends->initiator, *responder = &ends->responder;
	/* what comes in is sent to the node, what goes out is sent by it */
	bool host_began = (d->direction == POLICY_EGRESS) != d->is_reply;
	int reason;

	__builtin_memset(ends, 0, sizeof(*ends));
	reason = resolve(initiator_is_a ? &d->key.ip_a : &d->key.ip_b, initiator);
	if (d->at_host && host_began)
		be_host(initiator);
	else if (reason)
		return reason;
	else if (from_host && !d->at_host && !initiator->local && !initiator->node)
		initiator->identity = IDENTITY_HOST;
	e->source_identity = initiator->identity;
	reason = resolve(initiator_is_a ? &d->key.ip_b : &d->key.ip_a, responder);
	if (d->at_host && !host_began) {
		be_host(responder);
		reason = 0;
	} else if (is_not_resolver(d, responder)) {
		be_host(responder);
	}
	e->destination_identity = responder->identity;
	if (reason)
		return reason;
	return is_forged(d, d->is_reply ? responder : initiator) ? DROP_SOURCE_IP : 0;
}

/* The node is under policy like an endpoint, but for what docs/life-of-a-packet.md lists: it must not lock itself out. */
INLINE bool host_egress_asked(const struct asked *d, const struct ct_entry *e, const struct parties *ends)
{
	if (!(d->node_flags & NODE_HOST_EGRESS) || e->source_identity != IDENTITY_HOST || (e->flags & CT_FORWARDED))
		return false;
	if (ends->responder.local || ends->responder.node)
		return false;
	return !is_lifeline(e->flags & CT_INITIATOR_A ? &d->key.ip_b : &d->key.ip_a, d->key.protocol, d->port);
}

INLINE bool host_ingress_asked(const struct asked *d, const struct ct_entry *e, const struct parties *ends)
{
	return (d->node_flags & NODE_HOST_INGRESS) && ends->responder.node && e->destination_identity == IDENTITY_HOST &&
	       e->source_identity != IDENTITY_HOST;
}

/* Is the policy of an end in audit mode? One that is no endpoint is the node. */
INLINE bool audits(const struct asked *d, const struct party *party)
{
	return party->audit || (d->node_flags & (party->local ? NODE_AUDIT : NODE_AUDIT | NODE_HOST_AUDIT));
}

/* The proxy is between two others, never at the node's own end. */
INLINE void spare_host_the_proxy(struct ct_entry *e)
{
	/* to a pod it could only let the node's requests through: they pass, and the ruleset stays for people to see */
	if (e->source_identity == IDENTITY_HOST && e->ingress_action == ACTION_REDIRECT)
		e->ingress_action = ACTION_ALLOW;
	/* an L7 rule for the node itself is nothing that it could fall short of */
	if (e->source_identity == IDENTITY_HOST && e->egress_action == ACTION_REDIRECT)
		e->egress_action = ACTION_DENY;
	if (e->destination_identity == IDENTITY_HOST && e->ingress_action == ACTION_REDIRECT)
		e->ingress_action = ACTION_DENY;
}

/* The reason for which the actions in `e` drop; 0: they do not. `direction`: set to that of the policy that denies. */
INLINE int actions_reason(const struct ct_entry *e, __u8 *direction)
{
	if (e->egress_action == ACTION_DENY) {
		*direction = POLICY_EGRESS;
		return deny_reason(e->egress_match);
	}
	if (e->ingress_action == ACTION_DENY) {
		*direction = POLICY_INGRESS;
		return deny_reason(e->ingress_match);
	}
	return 0;
}

/* Asks the policies. Identities, actions, matches, cookies and rulesets of `e` are written. Returns 0 or a drop reason. */
WALKED_ONCE int decide_key(struct asked *d, struct ct_entry *e)
{
	struct question q = {};
	struct parties ends;
	int reason;

	if (!d || !e)
		return DROP_INVALID_PACKET;
	reason = find_parties(d, e, &ends);
	if (reason)
		return reason;
	q.protocol = d->key.protocol;
	q.port = d->port;
	q.audit = audits(d, &ends.initiator);
	if (ends.initiator.local || host_egress_asked(d, e, &ends))
		ask_egress(e, &q, d->now);
	q.audit = audits(d, &ends.responder);
	if (ends.responder.local || host_ingress_asked(d, e, &ends))
		ask_ingress(e, &q, d->now);
	spare_host_the_proxy(e);
	reason = actions_reason(e, &d->denied_by);
	if (!reason && wants_proxy(e) && d->key.protocol != IPPROTO_TCP)
		return DROP_NO_PROXY_PROTOCOL;
	return reason;
}

/*
 * Decides the connection of h->asked from scratch and writes identities, actions and revision to `e`, whose CT_INITIATOR_A
 * says who began it. `counted`: the entries that decide are used for the first time by it. Returns 0 or a drop reason.
 */
INLINE int decide(struct hook *h, struct ct_entry *e, bool counted)
{
	struct asked *d = &h->asked;
	int reason;

	d->now = counted ? h->now : 0;
	d->node_flags = h->config->flags;
	d->ingress_ifindex = h->skb->ingress_ifindex;
	d->port = policy_port(h, e->flags & CT_INITIATOR_A);
	d->direction = h->direction;
	d->origin = h->origin;
	d->at_host = h->at_host;
	d->is_reply = h->is_reply;
	d->denied_by = h->drop_direction;
	e->revision = h->revision;
	e->egress_action = e->ingress_action = ACTION_NOT_ASKED;
	e->egress_match = e->ingress_match = MATCH_NONE;
	e->egress_cookie = e->ingress_cookie = 0;
	e->egress_ruleset = e->ingress_ruleset = 0;
	reason = decide_key(d, e);
	h->drop_direction = d->denied_by;
	return reason;
}

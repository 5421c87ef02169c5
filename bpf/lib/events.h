/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What user space hears of: new, changed and closed connections, and dropped packets. */
#pragma once
#include "count.h"
#include "hook.h"
#include <linux/pkt_cls.h>

INLINE void describe_verdict(struct flow_event *event, const struct ct_entry *e)
{
	event->steered = !!(e->flags & CT_STEERED);
	event->egress_action = e->egress_action;
	event->ingress_action = e->ingress_action;
	event->egress_match = e->egress_match;
	event->ingress_match = e->ingress_match;
	event->egress_cookie = e->egress_cookie;
	event->ingress_cookie = e->ingress_cookie;
	event->forward_packets = e->forward.packets;
	event->forward_bytes = e->forward.bytes;
	event->reply_packets = e->reply.packets;
	event->reply_bytes = e->reply.bytes;
}

INLINE struct flow_event *reserve_event(const struct hook *h, __u8 kind)
{
	struct flow_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count_loss(LOSS_EVENT);
		return NULL;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->time_ns = bpf_ktime_get_boot_ns();
	event->kind = kind;
	event->family = h->packet.family;
	event->protocol = h->packet.protocol;
	event->tcp_flags = h->packet.tcp_flags;
	event->is_reply = h->is_reply;
	event->ifindex = h->skb->ifindex;
	event->length = h->packet.length;
	return event;
}

/* A connection event: source is the initiator, whoever sent the packet at hand. */
OUTLINE void emit_flow(const struct hook *h, const struct ct_entry *e, __u8 kind)
{
	bool initiator_is_a = e->flags & CT_INITIATOR_A;
	struct flow_event *event;

	if (!(h->config->flags & NODE_VERDICT_EVENTS))
		return;
	event = reserve_event(h, kind);
	if (!event)
		return;
	describe_verdict(event, e);
	event->protocol = h->asked.key.protocol; /* of the connection: the packet may be an error about it */
	event->source_identity = e->source_identity;
	event->destination_identity = e->destination_identity;
	event->source = initiator_is_a ? h->asked.key.ip_a : h->asked.key.ip_b;
	event->destination = initiator_is_a ? h->asked.key.ip_b : h->asked.key.ip_a;
	event->source_port = initiator_is_a ? h->asked.key.port_a : h->asked.key.port_b;
	event->destination_port = initiator_is_a ? h->asked.key.port_b : h->asked.key.port_a;
	if (is_icmp(event->protocol) && h->packet.kind == PACKET_STATELESS)
		event->destination_port = bpf_htons(h->packet.icmp_type);
	else if (event->protocol == IPPROTO_ICMP)
		event->destination_port = bpf_htons(ICMP_ECHO);
	else if (event->protocol == IPPROTO_ICMPV6)
		event->destination_port = bpf_htons(ICMPV6_ECHO_REQUEST);
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP); /* user space polls */
}

/* At most drop_events_per_second events a second, CPU and reason. */
INLINE bool within_budget(const struct hook *h, __u32 reason, __u32 limit)
{
	struct drop_budget *budget = bpf_map_lookup_elem(&drop_budgets, &reason);

	if (!budget)
		return false;
	if (budget->second != h->now) {
		budget->second = h->now;
		budget->sent = 0;
	}
	if (budget->sent >= limit) {
		count_loss(LOSS_DROP_EVENT);
		return false;
	}
	budget->sent++;
	return true;
}

/* Counts and reports the drop of the packet at hand; the verdict to return. */
OUTLINE int drop(const struct hook *h, int reason)
{
	const struct packet *p = &h->packet;
	const struct ct_entry *e = h->entry;
	struct flow_event *event;

	count_packet(reason & 0xff, h->drop_direction, p->length);
	if (!h->config || !h->config->drop_events_per_second ||
	    !within_budget(h, reason & 0xff, h->config->drop_events_per_second))
		return TC_ACT_SHOT;
	event = reserve_event(h, FLOW_DROP);
	if (!event)
		return TC_ACT_SHOT;
	event->reason = reason;
	event->direction = h->drop_direction;
	event->source = p->source;
	event->destination = p->destination;
	event->source_port = p->source_port;
	event->destination_port = p->destination_port;
	if (p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6)
		event->destination_port = bpf_htons(p->icmp_type);
	if (e) {
		describe_verdict(event, e);
		event->source_identity = h->is_reply ? e->destination_identity : e->source_identity;
		event->destination_identity = h->is_reply ? e->source_identity : e->destination_identity;
	} else if (h->endpoint) {
		*(h->direction == POLICY_EGRESS ? &event->source_identity : &event->destination_identity) =
			h->endpoint->identity;
	}
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return TC_ACT_SHOT;
}

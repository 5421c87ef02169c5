/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Service load balancing at the socket: a backend in place of the frontend, and back. */
#pragma once
#include "count.h"
#include "maps.h"
#include <linux/in.h>

#define LB_ECONNREFUSED 111 /* asm-generic/errno.h */
#define LB_ENOMEM 12

/* An address and port that a socket is about to use, or is told about. */
struct lb_end {
	struct addr ip;
	__be16 port;
	__u8 protocol;
};

/* The backend in one slot of the service; NULL while the agent has not finished writing it. */
INLINE const struct backend_value *backend_in(struct service_key *key, __u32 slot)
{
	const struct service_value *entry;
	__u32 id;

	key->slot = slot;
	entry = bpf_map_lookup_elem(&services, key);
	if (!entry)
		return NULL;
	id = entry->backend;
	return bpf_map_lookup_elem(&backends, &id);
}

/*
 * Replaces a frontend by one of its backends and remembers the socket's wish. Returns 0, or the negative errno that the
 * call must fail with: a service that is without backends or half written never lets the frontend's address through.
 */
OUTLINE int lb_forward(struct lb_end *end, __u64 cookie)
{
	struct service_key key = { .ip = end->ip, .port = end->port, .protocol = end->protocol };
	const struct service_value *service = bpf_map_lookup_elem(&services, &key);
	struct reverse_key wish = { .cookie = cookie };
	struct reverse_value frontend = { .ip = end->ip, .port = end->port };
	const struct backend_value *backend;

	if (!service)
		return 0;
	if (!service->count)
		return -LB_ECONNREFUSED;
	frontend.service = service->service;
	backend = backend_in(&key, bpf_get_prandom_u32() % service->count + 1);
	if (!backend)
		backend = backend_in(&key, 1); /* the service shrinks at this moment */
	if (!backend || backend->protocol != end->protocol)
		return -LB_ECONNREFUSED;
	wish.ip = backend->ip;
	wish.port = backend->port;
	if (bpf_map_update_elem(&reverse, &wish, &frontend, BPF_ANY)) {
		count_loss(LOSS_REVERSE);
		return -LB_ENOMEM;
	}
	end->ip = backend->ip;
	end->port = backend->port;
	return 0;
}

/* Replaces a backend that the socket was given by the frontend it asked for. False: it was not. */
OUTLINE bool lb_reverse(struct lb_end *end, __u64 cookie)
{
	struct reverse_key wish = { .cookie = cookie, .ip = end->ip, .port = end->port };
	const struct reverse_value *frontend = bpf_map_lookup_elem(&reverse, &wish);

	if (!frontend)
		return false;
	end->ip = frontend->ip;
	end->port = frontend->port;
	return true;
}

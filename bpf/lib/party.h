/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who is at an end of a packet: an endpoint of this node, the node itself, or an identity elsewhere. */
#pragma once
#include "hook.h"

#define IDENTITY_HOST 1
#define IDENTITY_WORLD_IPV4 9
#define IDENTITY_WORLD_IPV6 10
#define ADDR_BITS 128

struct party {
	__u32 identity;
	__u32 ifindex; /* of an endpoint of this node; 0: none */
	__u8 local; /* an endpoint of this node: its policy is asked */
	__u8 node; /* an address of the node itself */
	__u8 audit; /* the endpoint's policy is in audit mode */
	__u8 pad;
};

/*
 * Who has the address: an endpoint of this node before any prefix, the longest prefix before others. 0 or a drop reason.
 * Looked up is the copy in `key`, for the address may be in what a WALKED_ONCE function was given.
 */
OUTLINE int resolve(const struct addr *ip, struct party *out)
{
	struct identity_key key = { .prefixlen = ADDR_BITS, .ip = *ip };
	const struct endpoint *endpoint = bpf_map_lookup_elem(&endpoint_addrs, &key.ip);
	const struct identity_value *known;

	__builtin_memset(out, 0, sizeof(*out));
	if (endpoint) {
		out->local = 1;
		out->identity = endpoint->identity;
		out->ifindex = endpoint->ifindex;
		out->audit = !!(endpoint->flags & ENDPOINT_AUDIT);
		return 0;
	}
	known = bpf_map_lookup_elem(&identities, &key);
	if (!known) {
		out->identity = is_mapped(ip) ? IDENTITY_WORLD_IPV4 : IDENTITY_WORLD_IPV6;
		return 0;
	}
	out->identity = known->identity;
	out->node = !!(known->flags & ADDR_NODE);
	return known->flags & ADDR_MANAGED ? DROP_ENDPOINT_NOT_READY : 0;
}

/* What the node needs to be repaired: its API server and its name servers, which its own policy cannot take from it. */
OUTLINE bool is_lifeline(const struct addr *ip, __u8 protocol, __be16 port)
{
	struct lifeline_key key = { .ip = *ip, .port = port, .protocol = protocol };

	if (bpf_map_lookup_elem(&lifelines, &key))
		return true;
	key.port = 0;
	return bpf_map_lookup_elem(&lifelines, &key) != NULL;
}

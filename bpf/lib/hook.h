/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* One packet on its way through a tc program: what the parts of the datapath hand to each other. */
#pragma once
#include "maps.h"
#include "packet.h"

/* Who put the packet on this interface. A pod cannot choose: marks and ingress_ifindex are the kernel's. */
enum origin {
	ORIGIN_POD, /* the pod behind the interface */
	ORIGIN_HOST, /* a socket or the stack of this node */
	ORIGIN_PROXY, /* a socket of the proxy, or the stack answering in its stead */
	ORIGIN_NETWORK, /* forwarded by the node's stack */
};

/* What a step returns besides 0 and drop reasons. */
enum step { IS_ARP = -1, IS_STATELESS = -2, NOT_RELATED = -3, IS_OF_VLAN = -4 };

/* What policy is asked with; decide() fills in all but the key. */
struct asked {
	struct ct_key key; /* of the packet's connection */
	__u32 now; /* the entries that decide are used at this second; 0: they have been counted before */
	__u32 node_flags; /* NODE_* bits */
	__u32 ingress_ifindex; /* of the packet */
	__be16 port; /* of the responder, or the ICMP type */
	__u8 direction; /* enum policy_dir of the hook */
	__u8 origin; /* enum origin */
	__u8 at_host; /* as in struct hook */
	__u8 is_reply;
	__u8 denied_by; /* answer: the direction whose policy denies */
	__u8 pad[5];
};

struct hook {
	struct __sk_buff *skb;
	const struct endpoint *endpoint; /* behind the interface of the hook */
	const struct node_config *config;
	const struct ct_entry *entry; /* for events: what is known of the connection, or NULL */
	struct packet packet;
	struct asked asked;
	__u32 revision; /* read once, before any policy */
	__u32 now; /* seconds of CLOCK_BOOTTIME */
	__u8 direction; /* enum policy_dir of the hook */
	__u8 drop_direction; /* whose policy denied; hook's direction otherwise */
	__u8 origin; /* enum origin */
	__u8 source_is_a;
	__u8 is_reply;
	__u8 unverified; /* the source is not the pod's address: only link messages may have that */
	__u8 at_host; /* a device of the node: one end of every packet is the node itself */
	__u8 pad;
};

INLINE __u32 now_seconds(void)
{
	return bpf_ktime_get_boot_ns() / 1000000000ULL;
}

/* At a device of the node. False if the node's own traffic is under no policy: then every packet passes. */
INLINE bool start_host_hook(struct hook *h, struct __sk_buff *skb, enum policy_dir direction)
{
	__u32 zero = 0;

	h->config = bpf_map_lookup_elem(&node_config, &zero);
	if (!h->config || !(h->config->flags & (NODE_HOST_INGRESS | NODE_HOST_EGRESS)))
		return false;
	h->skb = skb;
	h->direction = direction;
	h->drop_direction = direction;
	h->packet.length = skb->len;
	h->now = now_seconds();
	h->revision = h->config->revision;
	h->at_host = 1;
	return true;
}

/* False if the node is not configured: then nothing may pass. */
INLINE bool start_hook(struct hook *h, struct __sk_buff *skb, enum policy_dir direction)
{
	__u32 zero = 0, ifindex = skb->ifindex;

	h->skb = skb;
	h->direction = direction;
	h->drop_direction = direction;
	h->packet.length = skb->len;
	h->now = now_seconds();
	h->config = bpf_map_lookup_elem(&node_config, &zero);
	h->endpoint = bpf_map_lookup_elem(&endpoints, &ifindex);
	if (!h->config || !h->endpoint)
		return false;
	h->revision = h->config->revision;
	return true;
}

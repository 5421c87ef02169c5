/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Every struct that the kernel programs share with user space; bpf/abi.ts is generated from it.
 * Over 250 lines: the layout has one source, and its enumerators carry their texts.
 */
#pragma once
#include <linux/types.h>

/* Text that travels in BTF and becomes docs/maps.md and the comments of bpf/abi.ts. */
#define DOC(text) __attribute__((btf_decl_tag("doc:" text)))

/* Tags cannot sit on enumerators: each enum is a list, made into the enum and into a shadow struct (<enum>_doc) of texts. */
#define ENUMERATOR(name, number, text) name = number,
#define ENUMERATOR_DOC(name, number, text) char name DOC(text);

#define POLICY_DIRS(X)                                                         \
	X(POLICY_INGRESS, 1, "what others send to the subject")                \
	X(POLICY_EGRESS, 2, "what the subject sends to others")
/* Policy direction, seen from the subject of the policy. */
enum policy_dir { POLICY_DIRS(ENUMERATOR) };
struct policy_dir_doc { POLICY_DIRS(ENUMERATOR_DOC) };

#define POLICY_MATCHES(X)                                                      \
	X(MATCH_NONE, 0, "no entry")                                           \
	X(MATCH_L3_ONLY, 1, "the peer, any protocol")                          \
	X(MATCH_L3_L4, 2, "the peer and the port")                             \
	X(MATCH_L4_ONLY, 3, "the port, any peer")                              \
	X(MATCH_ALL, 4, "any peer, any protocol")                              \
	X(MATCH_L3_PROTO, 5, "the peer and the protocol")                      \
	X(MATCH_PROTO_ONLY, 6, "the protocol, any peer")
/* How precisely a policy entry matched; the numbers are those of Hubble's policy_match_type. */
enum policy_match { POLICY_MATCHES(ENUMERATOR) };
struct policy_match_doc { POLICY_MATCHES(ENUMERATOR_DOC) };

#define POLICY_ACTIONS(X)                                                      \
	X(ACTION_NOT_ASKED, 0, "the subject is not an endpoint of this node")  \
	X(ACTION_ALLOW, 1, "passes")                                           \
	X(ACTION_DENY, 2, "dropped")                                           \
	X(ACTION_REDIRECT, 3, "goes through the proxy")                        \
	X(ACTION_AUDIT, 4, "would be dropped, passes and is reported")
/* What one direction's policy said. */
enum policy_action { POLICY_ACTIONS(ENUMERATOR) };
struct policy_action_doc { POLICY_ACTIONS(ENUMERATOR_DOC) };

/* An IPv6 address, or an IPv4 address mapped into ::ffff:0:0/96. */
struct addr {
	__u8 bytes[16] DOC("network byte order; IPv4 as ::ffff:a.b.c.d");
};

struct node_config {
	__u32 revision DOC("policy revision; raised after every change that may alter a verdict");
	__u32 worker_slots DOC("number of proxy worker slots in use; 0: no proxy");
	__u32 proxy_mark DOC("fwmark of sockets owned by the proxy");
	__u32 steer_mark DOC("fwmark of packets assigned to a proxy socket, routed to the local stack");
	__u32 drop_events_per_second DOC("drop events sent per second, CPU and reason; the rest is only counted");
	__u32 flags DOC("NODE_* bits");
};
#define NODE_FLAGS(X) \
	X(NODE_VERDICT_EVENTS, 1, "send flow events for new, changed and closed connections") \
	X(NODE_AUDIT, 2, "audit mode: what policy denies passes and is reported as ACTION_AUDIT") \
	X(NODE_HOST_INGRESS, 4, "the node's own ingress is under policy (subject: the host's identity)") \
	X(NODE_HOST_EGRESS, 8, "the node's own egress is under policy") \
	X(NODE_HOST_AUDIT, 16, "audit mode of the node's own policy alone")
/* Bits of node_config.flags. */
enum node_flag { NODE_FLAGS(ENUMERATOR) };
struct node_flag_doc { NODE_FLAGS(ENUMERATOR_DOC) };

struct endpoint {
	__u32 ifindex DOC("host side of the endpoint's veth, in the node's namespace");
	__u32 identity DOC("security identity of the endpoint");
	__u16 id DOC("endpoint id, unique on the node");
	__u16 flags DOC("ENDPOINT_* bits");
	__u8 pod_mac[6] DOC("MAC address of the pod's interface");
	__u8 host_mac[6] DOC("MAC address of the host side");
	struct addr ip4 DOC("the endpoint's IPv4 address, mapped; all zero: none");
	struct addr ip6 DOC("the endpoint's IPv6 address; all zero: none");
};

#define ENDPOINT_FLAGS(X) \
	X(ENDPOINT_AUDIT, 1, "audit mode: what its policy denies passes and is reported as ACTION_AUDIT")
/* Bits of endpoint.flags. */
enum endpoint_flag { ENDPOINT_FLAGS(ENUMERATOR) };
struct endpoint_flag_doc { ENDPOINT_FLAGS(ENUMERATOR_DOC) };

struct identity_key {
	__u32 prefixlen DOC("significant bits of ip; IPv4 prefixes count from 96");
	struct addr ip DOC("address");
};
struct identity_value {
	__u32 identity DOC("security identity of the address");
	__u32 flags DOC("ADDR_* bits");
};
#define ADDR_FLAGS(X) \
	X(ADDR_NODE, 1, "owned by this node: delivered to its stack") \
	X(ADDR_MANAGED, 2, "an endpoint of this node: dropped while its endpoint entry is missing")
/* Bits of identity_value.flags. */
enum addr_flag { ADDR_FLAGS(ENUMERATOR) };
struct addr_flag_doc { ADDR_FLAGS(ENUMERATOR_DOC) };

struct policy_key {
	__u32 prefixlen DOC("72 + 0, 8 (protocol) or 8 + 1..16 (protocol and port prefix)");
	__u32 edition DOC("which whole of entries it belongs to");
	__u32 peers DOC("set of peers, of peer_sets; 0: any peer");
	__u8 pad; /* in front: the prefix ends within protocol and port, which follow each other */
	__u8 protocol DOC("IP protocol");
	__be16 port DOC("destination port, or ICMP type");
};
struct policy_value {
	__u32 precedence DOC("the highest among the entries that hold for the peer wins");
	__u32 ruleset DOC("L7 ruleset the proxy applies; 0: none");
	__u32 cookie DOC("origin of the entry: the policies behind it, resolved by the agent");
	__u8 action DOC("enum entry_action");
	__u8 l4_bits DOC("bits of protocol and port that are significant: 0, 8 or 9..24");
	__u16 pad;
};
#define ENTRY_ACTIONS(X)                                                       \
	X(ENTRY_ALLOW, 1, "lets pass")                                         \
	X(ENTRY_DENY, 2, "drops, whatever else lets pass")                     \
	X(ENTRY_REDIRECT, 3, "lets pass through the proxy")                    \
	X(ENTRY_REFUSE, 4, "what another entry lets pass goes through the proxy") \
	X(ENTRY_AUDIT, 5, "as deny, but passes and is reported")
/* What one entry says. */
enum entry_action { ENTRY_ACTIONS(ENUMERATOR) };
struct entry_action_doc { ENTRY_ACTIONS(ENUMERATOR_DOC) };

/* One direction of a subject: the entries that are in force. */
struct edition_use {
	__u32 edition DOC("0: there are none");
	__u32 also DOC("while policy changes: a second edition, of the two answers the narrower counts; 0: none");
	__u32 filter[8] DOC("bit n % 256 for each set of peers n that either edition names");
};
struct subject_value {
	__u32 identity DOC("the key again: the row may be another one's while it is read");
	struct edition_use ingress;
	struct edition_use egress;
};
struct peer_sets_key {
	__u32 identity DOC("security identity of the peer");
	__u32 block DOC("0, 1, ...");
};
#define PEER_SET_LIMITS(X)                                                     \
	X(PEER_SETS_EACH, 14, "sets in one block")                             \
	X(PEER_SET_BLOCKS, 32, "blocks of one identity; with more, it is denied")
/* Room for the sets of one identity. */
enum peer_set_limit { PEER_SET_LIMITS(ENUMERATOR) };
struct peer_set_limit_doc { PEER_SET_LIMITS(ENUMERATOR_DOC) };
#define PEER_ONLY(X)                                                           \
	X(PEER_BOTH, 0, "both editions of a subject are asked")                \
	X(PEER_FIRST, 1, "only .edition: the identity is about to lose its addresses") \
	X(PEER_SECOND, 2, "only .also: the identity has no address yet")
/* Which editions know a peer. */
enum peer_only { PEER_ONLY(ENUMERATOR) };
struct peer_only_doc { PEER_ONLY(ENUMERATOR_DOC) };
struct peer_sets_value {
	__u32 identity DOC("the key again: the row may be another one's while it is read");
	__u16 more DOC("1: another block follows");
	__u16 only DOC("of block 0, while policy changes: enum peer_only");
	__u32 sets[PEER_SETS_EACH] DOC("sets that the identity belongs to, in any order; 0: an empty place");
};
struct policy_counter_key {
	__u32 subject DOC("identity that the policy selects");
	__u32 peers DOC("set of peers of the entry; 0: any peer");
	__u8 direction DOC("enum policy_dir");
	__u8 protocol DOC("of the entry; 0: any");
	__be16 port DOC("of the entry; 0: any");
	__u8 l4_bits DOC("of the entry; 255: there was no entry");
	__u8 pad[3];
};
struct policy_counter {
	__u64 hits DOC("connections, and packets that belong to none or were denied, that the entry has decided");
	__u64 audited DOC("those among them that passed only because of audit mode");
	__u32 last_used DOC("seconds of CLOCK_BOOTTIME of the last one");
	__u32 pad;
};
struct lifeline_key {
	struct addr ip DOC("address of the other side");
	__be16 port DOC("its port; 0: every port");
	__u8 protocol DOC("IP protocol");
	__u8 pad;
};

struct ct_key {
	struct addr ip_a DOC("the lower (address, port) of the two ends");
	struct addr ip_b DOC("the higher one");
	__be16 port_a DOC("port of a; ICMP echo: the identifier if a sent the request, else 0");
	__be16 port_b DOC("port of b; ICMP echo: the identifier if b sent the request, else 0");
	__u8 protocol DOC("IP protocol");
	__u8 pad[3];
};
struct ct_side {
	__u64 packets DOC("packets sent by this side, approximate under concurrency");
	__u64 bytes DOC("bytes sent by this side, approximate under concurrency");
	__u32 next_seq DOC("reserved for sequence following: next sequence number");
	__u32 acked DOC("reserved: highest acknowledged number");
	__u32 timestamp DOC("reserved: last TCP timestamp value");
	__u16 window DOC("reserved: last advertised window");
	__u8 window_scale DOC("reserved: window scale");
	__u8 options DOC("reserved: SACK and timestamp permitted");
};
struct ct_entry {
	__u32 expires DOC("seconds of CLOCK_BOOTTIME after which the entry is stale");
	__u32 revision DOC("policy revision the verdict was made under");
	__u32 source_identity DOC("identity of the initiator");
	__u32 destination_identity DOC("identity of the responder");
	__u32 egress_ruleset DOC("L7 ruleset of the initiator's egress policy; 0: none");
	__u32 ingress_ruleset DOC("L7 ruleset of the responder's ingress policy; 0: none");
	__u32 flags DOC("CT_* bits");
	__u16 slot DOC("worker slot of a steered connection");
	__u16 pad;
	__u8 egress_action DOC("enum policy_action");
	__u8 ingress_action DOC("enum policy_action");
	__u8 egress_match DOC("enum policy_match");
	__u8 ingress_match DOC("enum policy_match");
	__u32 egress_cookie DOC("cookie of the deciding egress entry");
	__u32 ingress_cookie DOC("cookie of the deciding ingress entry");
	__u32 pad2;
	struct ct_side forward DOC("initiator to responder");
	struct ct_side reply DOC("responder to initiator");
};
#define CT_FLAGS(X) \
	X(CT_INITIATOR_A, 1, "the initiator is end a of the key") \
	X(CT_STEERED, 2, "handed to the proxy; stays so for the connection's life") \
	X(CT_REPLIED, 4, "the responder has answered") \
	X(CT_FIN_FORWARD, 8, "the initiator has sent FIN") \
	X(CT_FIN_REPLY, 16, "the responder has sent FIN") \
	X(CT_RESET, 32, "one side has sent RST") \
	X(CT_DENIED, 64, "verdict under .revision is deny") \
	X(CT_CUT, 128, "must be reset: would bypass the proxy") \
	X(CT_CLOSED, 256, "close event was sent") \
	X(CT_FORWARDED, 512, "seen at a device of the node, which only sent it on: not the node's own")
/* Bits of ct_entry.flags. */
enum ct_flag { CT_FLAGS(ENUMERATOR) };
struct ct_flag_doc { CT_FLAGS(ENUMERATOR_DOC) };

#define PURGE_LIMITS(X)                                                        \
	X(PURGE_ADDRESSES, 64, "addresses that one run of purge takes")
/* Room of struct purge_args. */
enum purge_limit { PURGE_LIMITS(ENUMERATOR) };
struct purge_limit_doc { PURGE_LIMITS(ENUMERATOR_DOC) };

/* Context of the program purge, which the agent runs. */
struct purge_args {
	__u32 count DOC("in: number of addresses");
	__u32 deleted DOC("out: entries of conntrack that were deleted");
	struct addr addresses[PURGE_ADDRESSES] DOC("in: entries go that have one of them at either end");
};

struct fragment_key {
	struct addr source;
	struct addr destination;
	__u32 id DOC("IPv4 or IPv6 fragment identification");
	__u8 protocol;
	__u8 pad[3];
};
struct fragment_value {
	__be16 source_port;
	__be16 destination_port;
};

/* Index into the counters: COUNTER_INDEX(drop reason or 0 for forwarded, enum policy_dir). */
#define COUNTER_INDEX(reason, direction) ((__u32)(reason) * COUNTER_DIRECTIONS + (direction))
#define COUNTER_LIMITS(X)                                                      \
	X(COUNTER_DIRECTIONS, 4, "places for each reason")                     \
	X(COUNTER_REASONS, 256, "reasons, of which 0 is forwarded")
/* Shape of the counters map: index = reason * COUNTER_DIRECTIONS + enum policy_dir. */
enum counter_limit { COUNTER_LIMITS(ENUMERATOR) };
struct counter_limit_doc { COUNTER_LIMITS(ENUMERATOR_DOC) };

struct counter_value {
	__u64 packets;
	__u64 bytes;
};

struct service_key {
	struct addr ip DOC("frontend address");
	__be16 port DOC("frontend port");
	__u8 protocol DOC("IP protocol");
	__u8 pad;
	__u32 slot DOC("0: the frontend itself; 1..count: its backends");
};
struct service_value {
	__u32 backend DOC("slot > 0: backend id");
	__u32 count DOC("slot 0: number of backends");
	__u32 service DOC("service id");
	__u32 flags DOC("reserved, 0");
};
struct backend_value {
	struct addr ip DOC("backend address");
	__be16 port DOC("backend port");
	__u8 protocol;
	__u8 flags DOC("reserved, 0");
};
struct reverse_key {
	__u64 cookie DOC("socket cookie");
	struct addr ip DOC("backend address");
	__be16 port DOC("backend port");
	__u16 pad;
	__u32 pad2;
};
struct reverse_value {
	struct addr ip DOC("frontend address");
	__be16 port DOC("frontend port");
	__u16 pad;
	__u32 service DOC("service id");
};

#define LOSSES(X)                                                              \
	X(LOSS_EVENT, 0, "flow events not sent: the ring was full")            \
	X(LOSS_DROP_EVENT, 1, "drop events not sent: over the rate")           \
	X(LOSS_CONNTRACK, 2, "conntrack entries that could not be written")    \
	X(LOSS_FRAGMENT, 3, "fragment entries that could not be written")      \
	X(LOSS_REVERSE, 4, "reverse translations that could not be written")   \
	X(LOSS_POLICY_COUNTER, 5, "uses of policy entries that could not be counted") \
	X(LOSS_KINDS, 6, "number of kinds")
/* Things lost for want of room; index into the losses map. */
enum loss { LOSSES(ENUMERATOR) };
struct loss_doc { LOSSES(ENUMERATOR_DOC) };

#define FLOW_KINDS(X)                                                          \
	X(FLOW_NEW, 1, "a connection began")                                   \
	X(FLOW_CHANGED, 2, "its verdict changed")                              \
	X(FLOW_CLOSED, 3, "it ended")                                          \
	X(FLOW_DROP, 4, "a packet was dropped")
/* What a flow event tells. */
enum flow_kind { FLOW_KINDS(ENUMERATOR) };
struct flow_kind_doc { FLOW_KINDS(ENUMERATOR_DOC) };

struct flow_event {
	__u64 time_ns DOC("CLOCK_BOOTTIME");
	__u8 kind DOC("enum flow_kind");
	__u8 reason DOC("drop reason; 0: none");
	__u8 family DOC("4 or 6");
	__u8 protocol DOC("IP protocol");
	__u8 direction DOC("enum policy_dir at which it was dropped; 0: not dropped");
	__u8 tcp_flags DOC("flags byte of the TCP header");
	__u8 is_reply DOC("1: the packet was sent by the responder");
	__u8 steered DOC("1: goes through the proxy");
	__u8 egress_action DOC("enum policy_action");
	__u8 ingress_action DOC("enum policy_action");
	__u8 egress_match DOC("enum policy_match");
	__u8 ingress_match DOC("enum policy_match");
	__u32 egress_cookie;
	__u32 ingress_cookie;
	__u32 source_identity DOC("identity of source");
	__u32 destination_identity DOC("identity of destination");
	__u32 ifindex DOC("interface of the packet");
	struct addr source DOC("packet source for drops, initiator otherwise");
	struct addr destination DOC("packet destination for drops, responder otherwise");
	__be16 source_port;
	__be16 destination_port DOC("destination port, or ICMP type");
	__u32 length DOC("packet length of a drop, in bytes");
	__u64 forward_packets DOC("FLOW_CLOSED: packets of the initiator");
	__u64 forward_bytes DOC("FLOW_CLOSED: bytes of the initiator");
	__u64 reply_packets DOC("FLOW_CLOSED: packets of the responder");
	__u64 reply_bytes DOC("FLOW_CLOSED: bytes of the responder");
};

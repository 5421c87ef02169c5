/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Why a packet was dropped: one line for each cause; numbers below 220 and their texts are Cilium's. */
#pragma once
#include "abi.h"

#define DROP_TEXT(text) __attribute__((btf_decl_tag("text:" text)))
#define DROP_FLOW(name) __attribute__((btf_decl_tag("flow:" #name)))

/* X(number, name, text, name in flow.DropReason, why it happens here) */
#define DROP_REASONS(X)                                                                                                \
	X(130, DROP_SOURCE_MAC, "Invalid source mac", INVALID_SOURCE_MAC, "the pod sent from a MAC that is not its own") \
	X(131, DROP_DESTINATION_MAC, "Invalid destination mac", INVALID_DESTINATION_MAC,                               \
	  "the pod sent a unicast packet to a MAC that is not the gateway's")                                          \
	X(132, DROP_SOURCE_IP, "Invalid source ip", INVALID_SOURCE_IP, "the pod sent from an address not its own")     \
	X(133, DROP_POLICY_DENIED, "Policy denied", POLICY_DENIED, "no policy entry allows it")                        \
	X(134, DROP_INVALID_PACKET, "Invalid packet", INVALID_PACKET_DROPPED, "the IP header contradicts itself")      \
	X(135, DROP_TRUNCATED, "CT: Truncated or invalid header", CT_TRUNCATED_OR_INVALID_HEADER,                      \
	  "the packet ends within a header")                                                                           \
	X(137, DROP_UNKNOWN_L4, "CT: Unknown L4 protocol", CT_UNKNOWN_L4_PROTOCOL, "neither TCP, UDP, SCTP nor ICMP")        \
	X(139, DROP_UNKNOWN_L3, "Unsupported L3 protocol", UNSUPPORTED_L3_PROTOCOL, "neither ARP, IPv4 nor IPv6")      \
	X(151, DROP_UNROUTABLE, "Stale or unroutable IP", STALE_OR_UNROUTABLE_IP,                                      \
	  "routed to a pod that does not have the address (any more)")                                                 \
	X(155, DROP_CT_FULL, "CT: Map insertion failed", CT_MAP_INSERTION_FAILED, "conntrack had no room")             \
	X(156, DROP_IPV6_EXTENSION, "Invalid IPv6 extension header", INVALID_IPV6_EXTENSION_HEADER,                    \
	  "too many extension headers, or a routing header that is not used up")                                       \
	X(174, DROP_CLUSTER_IP, "Is a ClusterIP", IS_A_CLUSTERIP, "sent to a service address past connect()")          \
	X(175, DROP_NO_FIRST_FRAGMENT, "First logical datagram fragment not found",                                    \
	  FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND, "a later fragment came without or before the first")              \
	X(176, DROP_FORBIDDEN_ICMPV6, "Forbidden ICMPv6 message", FORBIDDEN_ICMPV6_MESSAGE,                            \
	  "a pod sent what only routers send, or a link-local message came from elsewhere")                            \
	X(179, DROP_ASSIGN_FAILED, "Socket assign failed", SOCKET_ASSIGN_FAILED, "the kernel refused the listener")    \
	X(180, DROP_NO_PROXY_PROTOCOL, "Proxy redirection not supported for protocol",                                 \
	  PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL, "an L7 rule matched something that is not TCP")                \
	X(181, DROP_POLICY_DENY, "Policy denied by denylist", POLICY_DENY, "a policy entry denies it")                 \
	X(182, DROP_VLAN, "VLAN traffic disallowed by VLAN filter", VLAN_FILTERED, "the packet has a VLAN tag")        \
	X(203, DROP_ENDPOINT_NOT_READY, "Endpoint policy program not available", DROP_EP_NOT_READY,                    \
	  "the endpoint has no entry yet, or none any more")                                                           \
	X(220, DROP_NO_LISTENER, "No proxy listener", SOCKET_LOOKUP_FAILED, "no proxy worker serves the slot")         \
	X(221, DROP_ARP_SENDER, "Invalid ARP sender", INVALID_SOURCE_IP, "the ARP message names a sender that the pod is not") \
	X(222, DROP_ND_SENDER, "Invalid neighbor discovery sender", INVALID_SOURCE_IP,                                 \
	  "the message claims an address or a MAC that is not the pod's")                                              \
	X(223, DROP_IPV4_OPTIONS, "IPv4 options refused", INVALID_PACKET_DROPPED, "the IPv4 header has options")       \
	X(224, DROP_FRAGMENT_OVERLAP, "Fragment overlaps transport header", INVALID_PACKET_DROPPED,                    \
	  "a later fragment would rewrite the header that was judged")                                                 \
	X(225, DROP_NOT_STEERED, "No steered connection", SOCKET_LOOKUP_FAILED,                                        \
	  "the proxy has no socket for the packet (answered by RST), or sent one that is not its own")                              \
	X(226, DROP_CUT, "Connection reset to enter proxy", POLICY_DENIED,                                             \
	  "an L7 rule now applies to a connection that would bypass the proxy")                                        \
	X(227, DROP_CANNOT_STEER, "Proxy not reachable from here", PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL,       \
	  "an L7 rule applies to traffic that did not come from a pod of this node")                                   \
	X(228, DROP_UNTRACKED, "CT: Unknown connection", CT_CANNOT_CREATE_ENTRY_FROM_PACKET,                                               \
	  "the middle of a connection that is not remembered and that only one end may begin (answered by RST)")

#define DROP_ENUMERATOR(number, name, text, flow, why) name = number,
#define DROP_SHADOW(number, name, text, flow, why) char name DOC(why) DROP_TEXT(text) DROP_FLOW(flow);

/* Drop reasons. 0: forwarded. */
enum drop_reason { FORWARDED = 0, DROP_REASONS(DROP_ENUMERATOR) };
/* Carries the texts into BTF; never instantiated by programs. */
struct drop_reason_doc {
	DROP_REASONS(DROP_SHADOW)
};

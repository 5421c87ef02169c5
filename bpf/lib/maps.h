/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Every map. Each is pinned under its name; max_entries may be set before loading. */
#pragma once
#include "bpf.h"
#include "abi.h"

/* Kernel-only state behind the rate limit of drop events. */
struct drop_budget {
	__u32 second DOC("CLOCK_BOOTTIME second that the count is of");
	__u32 sent DOC("drop events sent in that second");
};

/* Kernel-only: a callback reaches neither the context nor, for 64 addresses, enough of the stack. */
#define PURGE_FILTER_ORDER 12
#define PURGE_FILTER_WORDS ((1 << PURGE_FILTER_ORDER) / 32)
struct purge_work {
	struct purge_args args DOC("of this run");
	__u32 filter[PURGE_FILTER_WORDS] DOC("a bit for each address, by its last four bytes");
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct node_config);
} node_config SEC(".maps") DOC("The node's settings and policy revision. Writer: agent.");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct endpoint);
} endpoints SEC(".maps") DOC("Interface index to endpoint: who is behind this interface. Writer: agent.");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct addr);
	__type(value, struct endpoint);
} endpoint_addrs SEC(".maps") DOC("Address to endpoint of this node: where to deliver. Writer: agent.");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 524288);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct identity_key);
	__type(value, struct identity_value);
} identities SEC(".maps") DOC("Address to identity, longest prefix; a miss is the world. Writer: agent.");

/* Entries take memory (about 200 bytes each) only while they exist. One edition may have 65,536 of them: sync sees to it. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 524288);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct policy_key);
	__type(value, struct policy_value);
} policy SEC(".maps") DOC("What a set of peers may send or receive, by edition, longest prefix; a miss is denied. Writer: agent.");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct subject_value);
} subjects SEC(".maps") DOC("Identity to the editions of its policy that are in force; a miss is denied. Writer: agent.");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct peer_sets_key);
	__type(value, struct peer_sets_value);
} peer_sets SEC(".maps") DOC("Identity to the sets of peers that it belongs to; a miss is denied. Writer: agent.");

/* A map of its own, and not in the entries: these are rewritten whenever policy changes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct policy_counter_key);
	__type(value, struct policy_counter);
} policy_counters SEC(".maps") DOC("Uses of each policy entry, whatever its edition, and of no entry. Writer: kernel; agent deletes.");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct lifeline_key);
	__type(value, __u32);
} lifelines SEC(".maps") DOC("What the node may always reach, whatever its own policy says. Writer: agent.");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct ct_key);
	__type(value, struct ct_entry);
} conntrack SEC(".maps") DOC("Connections with their cached verdict. Writer: kernel (pod.bpf.c); purge.bpf.c and agent delete.");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct fragment_key);
	__type(value, struct fragment_value);
} fragments SEC(".maps") DOC("Ports of fragmented datagrams, from the first fragment. Writer: kernel (pod.bpf.c).");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTER_REASONS * COUNTER_DIRECTIONS);
	__type(key, __u32);
	__type(value, struct counter_value);
} counters SEC(".maps") DOC("Packets and bytes forwarded and dropped, by COUNTER_INDEX. Writer: kernel (pod.bpf.c).");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOSS_KINDS);
	__type(key, __u32);
	__type(value, __u64);
} losses SEC(".maps") DOC("What was lost for want of room, by enum loss. Writer: kernel (pod.bpf.c, sock.bpf.c).");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps") DOC("Flow events (struct flow_event); max_entries is its size in bytes. Writer: kernel (pod.bpf.c).");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTER_REASONS);
	__type(key, __u32);
	__type(value, struct drop_budget);
} drop_budgets SEC(".maps") DOC("Drop events sent this second, by reason. Writer: kernel (pod.bpf.c).");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ct_entry);
} scratch SEC(".maps") DOC("Room for one conntrack entry while it is made. Writer: kernel (pod.bpf.c).");

/* What is read of policy, copied at once: the kernel gives the memory of a row that is replaced to another one. */
struct answer {
	struct policy_value value DOC("the entry that decides");
	__u32 peers DOC("the set that it is for");
	__u8 action DOC("enum policy_action");
	__u8 match DOC("enum policy_match");
	__u8 lets_pass DOC("1: some entry does, if no other one drops it");
	__u8 only DOC("enum peer_only");
};
struct policy_scratch {
	struct subject_value subject;
	struct peer_sets_value peer;
	struct answer second DOC("of .also");
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct policy_scratch);
} policy_scratch SEC(".maps") DOC("Room for the rows of one question to policy. Writer: kernel (pod.bpf.c).");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct purge_work);
} purging SEC(".maps") DOC("Room for one run of purge. Writer: kernel (purge.bpf.c).");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps") DOC("Worker slot to the listening socket of its proxy worker. Writer: agent.");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct service_key);
	__type(value, struct service_value);
} services SEC(".maps") DOC("Service frontends and their backend slots; slots are written before slot 0. Writer: agent.");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct backend_value);
} backends SEC(".maps") DOC("Backend id to address. Writer: agent.");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct reverse_key);
	__type(value, struct reverse_value);
} reverse SEC(".maps") DOC("Socket and backend to the frontend it asked for. Writer: kernel (sock.bpf.c).");

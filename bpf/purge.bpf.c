// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Run by the agent, not by packets: forgets the connections of pods that are gone in one walk over conntrack. */
#include "lib/maps.h"
#include "lib/packet.h"
#include <linux/errno.h>

/* What each step is given: it has to be on the stack. */
struct walk {
	struct purge_work *work;
};

INLINE __u32 last_word(const struct addr *a)
{
	__u32 word;

	__builtin_memcpy(&word, __builtin_assume_aligned(a->bytes + 12, 4), 4);
	return word;
}

/* Bit of the filter (Fibonacci hashing). */
INLINE __u32 place_of(const struct addr *a)
{
	return (last_word(a) * 0x9e3779b1U) >> (32 - PURGE_FILTER_ORDER);
}

INLINE bool may_be_gone(const struct purge_work *work, const struct addr *a)
{
	__u32 place = place_of(a);

	return work->filter[place / 32] & (1U << (place % 32));
}

INLINE bool is_gone(const struct purge_args *args, const struct ct_key *key)
{
	for (__u32 i = 0; i < PURGE_ADDRESSES; i++) {
		const struct addr *gone = &args->addresses[i];

		if (i >= args->count)
			break;
		if (last_word(gone) == last_word(&key->ip_a) && same_addr(gone, &key->ip_a))
			return true;
		if (last_word(gone) == last_word(&key->ip_b) && same_addr(gone, &key->ip_b))
			return true;
	}
	return false;
}

/*
 * Deleting the element that the walk is at is allowed: it goes on from there. But any element may become another
 * connection's at any moment, as LRU takes it for a packet: what is compared is a copy, and what is deleted is what was
 * compared. (A walk that is led to another bucket by that leaves out the rest of its own. What it leaves is older than
 * node_config.revision, which the end of a pod has raised: the next packet asks policy again.)
 */
static long forget(void *map, const struct ct_key *key, const struct ct_entry *entry, struct walk *walk)
{
	struct purge_work *work = walk->work;
	struct ct_key found;

	(void)entry;
	if (likely(!may_be_gone(work, &key->ip_a) && !may_be_gone(work, &key->ip_b)))
		return 0;
	__builtin_memcpy(&found, __builtin_assume_aligned(key, 8), sizeof(found));
	if (is_gone(&work->args, &found) && bpf_map_delete_elem(map, &found) == 0)
		work->args.deleted++;
	return 0;
}

/* The verifier wants offsets into the context to be constant: they are copied without a loop. */
INLINE void take_args(struct purge_work *work, const struct purge_args *args)
{
	const __u64 *from = __builtin_assume_aligned(args->addresses, 8);
	__u64 *to = __builtin_assume_aligned(work->args.addresses, 8);

	work->args.count = args->count;
	work->args.deleted = 0;
#pragma unroll
	for (int i = 0; i < PURGE_ADDRESSES * 2; i++)
		to[i] = from[i];
	__builtin_memset(work->filter, 0, sizeof(work->filter));
	for (__u32 i = 0; i < PURGE_ADDRESSES; i++) {
		__u32 place = place_of(&work->args.addresses[i]);

		if (i >= work->args.count)
			break;
		work->filter[place / 32] |= 1U << (place % 32);
	}
}

SEC("syscall")
int purge(struct purge_args *args)
{
	struct walk walk = {};
	struct purge_work *work;
	__u32 zero = 0;
	long visited;

	work = bpf_map_lookup_elem(&purging, &zero);
	if (!work || args->count > PURGE_ADDRESSES)
		return -EINVAL;
	take_args(work, args);
	walk.work = work;
	visited = bpf_for_each_map_elem(&conntrack, forget, &walk, 0);
	args->deleted = work->args.deleted;
	return visited < 0 ? visited : 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";

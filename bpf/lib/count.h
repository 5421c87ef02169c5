/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Per-CPU counters. */
#pragma once
#include "maps.h"
#include "drop.h"

INLINE void count_packet(__u32 reason, __u32 direction, __u32 length)
{
	__u32 index = COUNTER_INDEX(reason, direction);
	struct counter_value *counter = bpf_map_lookup_elem(&counters, &index);

	if (counter) {
		counter->packets++;
		counter->bytes += length;
	}
}

INLINE void count_loss(enum loss kind)
{
	__u32 index = kind;
	__u64 *counter = bpf_map_lookup_elem(&losses, &index);

	if (counter)
		(*counter)++;
}

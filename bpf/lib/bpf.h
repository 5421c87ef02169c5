/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What every program needs of the kernel's headers, and the idioms that the verifier wants. */
#pragma once
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define INLINE static __always_inline
/* A function that is stored once; for everything off the fast path. Not every program needs all of a header. */
#define OUTLINE static __attribute__((noinline, unused))
/*
 * A function that the verifier walks once for each program, whoever calls it from however many places. It may be given
 * numbers and structs without pointers, each of which it must check for NULL, and its answer is just a number. Before Linux
 * 6.2 (d1673304097c) what lies in such a struct is no key for a map: whoever looks something up copies it to the stack.
 */
#define WALKED_ONCE __attribute__((noinline))

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

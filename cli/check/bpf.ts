// The parts of the kernel's BPF that the programs in bpf/ use, each asked for by a bpf() system call.

import { type Finding, needed } from './finding.ts';
import type { BpfProbe } from './probe.ts';

/** Numbers of enum bpf_prog_type (linux/bpf.h) by the name that people know. */
const PROGRAM_TYPES = { sched_cls: 3, cgroup_sock_addr: 18, syscall: 31 } as const;
type ProgramType = keyof typeof PROGRAM_TYPES;

/** Numbers of enum bpf_map_type. */
export const MAP_TYPES = {
  hash: 1,
  array: 2,
  percpu_array: 6,
  lru_hash: 9,
  lpm_trie: 11,
  sockmap: 15,
  ringbuf: 27,
} as const;

/** Numbers of enum bpf_func_id, by the program type that calls them. */
export const HELPERS: Readonly<Record<ProgramType, Readonly<Record<string, number>>>> = {
  sched_cls: {
    map_lookup_elem: 1,
    map_update_elem: 2,
    skb_store_bytes: 9,
    clone_redirect: 13,
    skb_load_bytes: 26,
    csum_diff: 28,
    skb_change_tail: 38,
    skb_pull_data: 39,
    sk_release: 86,
    skc_lookup_tcp: 99,
    sk_assign: 124,
    ktime_get_boot_ns: 125,
    ringbuf_reserve: 131,
    ringbuf_submit: 132,
    redirect_peer: 155,
  },
  cgroup_sock_addr: {
    map_lookup_elem: 1,
    map_update_elem: 2,
    get_prandom_u32: 7,
    get_socket_cookie: 46,
    set_retval: 187,
  },
  syscall: { map_lookup_elem: 1, map_delete_elem: 3, for_each_map_elem: 164 },
};

const REMEDY = 'boot a kernel from 6.1 on with the usual BPF options (Debian kernels have them)';

/** One finding for all program types, one for all map types, one for the helpers of each program type, and tcx. */
export function bpfFindings(probe: BpfProbe, options: { readonly isRoot: boolean }): Finding[] {
  const group = (name: string, members: Readonly<Record<string, number>>, has: (id: number) => boolean): Finding => {
    const absent = Object.keys(members).filter((member) => options.isRoot && !has(members[member] ?? 0));
    return needed('bpf', name, {
      isThere: options.isRoot ? absent.length === 0 : undefined,
      detail: absent.length > 0 ? `without ${absent.join(', ')}` : Object.keys(members).join(', '),
      remedy: REMEDY,
    });
  };
  return [
    group('program types', PROGRAM_TYPES, (id) => probe.programType(id)),
    group('map types', MAP_TYPES, (id) => probe.mapType(id)),
    ...Object.entries(HELPERS).map(([type, helpers]) =>
      group(`helpers of ${type}`, helpers, (id) => probe.helper(PROGRAM_TYPES[type as ProgramType], id)),
    ),
    tcxFinding(options.isRoot ? probe.tcx() : undefined),
  ];
}

function tcxFinding(hasTcx: boolean | undefined): Finding {
  if (hasTcx !== false) return needed('bpf', 'tcx', { isThere: hasTcx, remedy: '' });
  return {
    area: 'bpf',
    name: 'tcx',
    state: 'remark',
    detail: 'not in this kernel: clsact is used instead',
    remedy: '',
  };
}

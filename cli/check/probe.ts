// Asks the kernel what it supports, by bpf() system calls alone: works before any package of Weir's is installed.

import { addressOf, bpf, close, ERRNO, errno } from '#common/native/libc.ts';

/** Asks for program types, map types and helpers by their numbers in linux/bpf.h. */
export interface BpfProbe {
  programType(type: number): boolean;
  mapType(type: number): boolean;
  helper(programType: number, id: number): boolean;
  /** Programs in tcx, by a query of the loopback device that changes nothing. */
  tcx(): boolean;
}

const COMMAND = { mapCreate: 0, progLoad: 5, progQuery: 16 } as const;
const ATTR_SIZE = 120;
const LOG_SIZE = 8192;
const LOOPBACK_IFINDEX = 1;
const BPF_TCX_INGRESS = 46;
/** Program types whose programs must name the hook they are for: cgroup_sock_addr, connect4. */
const ATTACH_TYPE: Readonly<Record<number, number>> = { 18: 10 };
/** Program types that must be loaded with these flags: syscall, as one that may sleep (BPF_F_SLEEPABLE). */
const FLAGS: Readonly<Record<number, number>> = { 31: 16 };

/** Key and value sizes that each kind of map asks for; a page of ring. */
const MAP_SHAPES: Readonly<Record<number, { key: number; value: number; entries: number; flags: number }>> = {
  11: { key: 8, value: 4, entries: 1, flags: 1 }, // LPM trie: BPF_F_NO_PREALLOC
  27: { key: 0, value: 0, entries: 65536, flags: 0 }, // ring buffer
};
const MAP_SHAPE = { key: 4, value: 4, entries: 1, flags: 0 };

const MOVE_0_TO_R0 = [0xb7, 0, 0, 0, 0, 0, 0, 0];
const EXIT = [0x95, 0, 0, 0, 0, 0, 0, 0];
const call = (id: number): number[] => [0x85, 0, 0, 0, id & 0xff, id >> 8, 0, 0];

/** Needs root; without it every answer is false. */
export function createBpfProbe(): BpfProbe {
  return {
    programType: (type) => load(type, [...MOVE_0_TO_R0, ...EXIT]).loaded,
    mapType(type) {
      const { key, value, entries, flags } = MAP_SHAPES[type] ?? MAP_SHAPE;
      const attr = attributes();
      [type, key, value, entries, flags].forEach((word, index) => {
        attr.setUint32(4 * index, word, true);
      });
      return succeeds(COMMAND.mapCreate, attr);
    },
    helper(programType, id) {
      // The call has no arguments, so the verifier refuses it: what counts is whether it knows the helper.
      const { log } = load(programType, [...call(id), ...EXIT]);
      return log !== '' && !/invalid func |unknown func |cannot use helper /.test(log);
    },
    tcx() {
      const attr = attributes();
      attr.setUint32(0, LOOPBACK_IFINDEX, true);
      attr.setUint32(4, BPF_TCX_INGRESS, true);
      return succeeds(COMMAND.progQuery, attr) || errno() === ERRNO.ENOENT;
    },
  };
}

function load(type: number, instructions: readonly number[]): { readonly loaded: boolean; readonly log: string } {
  const code = Uint8Array.from(instructions);
  const license = Buffer.from('Dual BSD/GPL\0');
  const log = new Uint8Array(LOG_SIZE);
  const attr = attributes();
  attr.setUint32(0, type, true);
  attr.setUint32(4, code.length / 8, true);
  attr.setBigUint64(8, BigInt(addressOf(code)), true);
  attr.setBigUint64(16, BigInt(addressOf(license)), true);
  attr.setUint32(24, 1, true); // log level
  attr.setUint32(28, LOG_SIZE, true);
  attr.setBigUint64(32, BigInt(addressOf(log)), true);
  attr.setUint32(44, FLAGS[type] ?? 0, true);
  attr.setUint32(68, ATTACH_TYPE[type] ?? 0, true);
  const loaded = succeeds(COMMAND.progLoad, attr);
  return { loaded, log: Buffer.from(log.subarray(0, log.indexOf(0))).toString() };
}

function attributes(): DataView {
  return new DataView(new ArrayBuffer(ATTR_SIZE));
}

/** Makes the call; what it made is let go again. */
function succeeds(command: number, attr: DataView): boolean {
  const result = bpf(command, new Uint8Array(attr.buffer));
  if (result > 0) close(result);
  return result >= 0;
}

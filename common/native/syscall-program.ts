// Programs that packets do not run, but whoever holds their descriptor (BPF_PROG_TYPE_SYSCALL).

import { BpfError } from './libbpf.ts';
import { addressOf, bpf, errno } from './libc.ts';

const PROG_RUN = 10; // bpf command
const OFFSET = { program: 0, returned: 4, contextSize: 40, context: 48 }; // struct test of union bpf_attr

/**
 * Runs a program once, to its end, and returns what it returned. It reads and writes `context`, which has at least the
 * bytes that it reaches for. Throws a BpfError if the kernel does not run it.
 */
export function runSyscallProgram(program: number, context: Uint8Array): number {
  const attr = new Uint8Array(80);
  const view = new DataView(attr.buffer);
  view.setUint32(OFFSET.program, program, true);
  view.setUint32(OFFSET.contextSize, context.length, true);
  view.setBigUint64(OFFSET.context, BigInt(addressOf(context)), true);
  if (bpf(PROG_RUN, attr) < 0) throw new BpfError('run program', errno());
  return view.getInt32(OFFSET.returned, true);
}

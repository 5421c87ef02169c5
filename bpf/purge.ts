// Forgets connections inside the kernel, in one system call: from some thousand entries on, reading them takes longer.

import type { Address } from '#common/ip.ts';
import { runSyscallProgram } from '#common/native/syscall-program.ts';
import { PURGE_ADDRESSES, purgeArgs } from './abi.ts';

/**
 * Deletes the entries of conntrack that have one of `addresses` (at most PURGE_ADDRESSES) at either end, by the program
 * purge. Returns their number. Throws if the kernel does not run it, or the program refuses.
 */
export function runPurge(program: number, addresses: readonly Address[]): number {
  if (addresses.length > PURGE_ADDRESSES) {
    throw new Error(`Cannot purge ${addresses.length} addresses at once: at most ${PURGE_ADDRESSES}`);
  }
  const args = purgeArgs.encode({ count: addresses.length, deleted: 0, addresses });
  const refusal = runSyscallProgram(program, args);
  if (refusal !== 0) throw new Error(`Cannot purge conntrack: the program returned ${refusal}`);
  return new DataView(args.buffer).getUint32(purgeArgs.offsets.deleted, true);
}

// How much the verifier has to walk for each kernel program and how much stack it takes, for `weir dev check`.

import { openObject, programInfo } from '#common/native/libbpf.ts';
import { programCode } from '#common/native/program-code.ts';
import { OBJECTS, objectPath } from './build.ts';
import { STACK_LIMIT_BYTES, stackBytes } from './stack.ts';

export interface ProgramStats {
  readonly program: string;
  /** Instructions of the program as the kernel runs it. */
  readonly instructions: number;
  /** Instructions that the verifier walked, all paths together. */
  readonly verifiedInstructions: number;
  /** Of the deepest chain of calls, as Linux 6.1 counts it. */
  readonly stackBytes: number;
}

/** The kernel gives up at a million (BPF_COMPLEXITY_LIMIT_INSNS). */
export const VERIFIER_LIMIT = 1_000_000;

/** Loads every compiled program, pins nothing, and says how large it is. Needs root and `build()` before. */
export function programStats(): ProgramStats[] {
  return OBJECTS.flatMap((name) => {
    using object = openObject(objectPath(name));
    object.load();
    return object.programs().map(({ name: program, fd }) => {
      const { instructions, verifiedInstructions } = programInfo(fd);
      return { program, instructions, verifiedInstructions, stackBytes: stackBytes(programCode(fd)) };
    });
  });
}

/** One line for each program. */
export function formatProgramStats(stats: readonly ProgramStats[]): string[] {
  return stats.map(({ program, instructions, verifiedInstructions, stackBytes }) => {
    const share = ((100 * verifiedInstructions) / VERIFIER_LIMIT).toFixed(1);
    return `${program.padEnd(14)}${String(instructions).padStart(6)} instructions, ${String(verifiedInstructions).padStart(7)} verified (${share} % of the limit), ${String(stackBytes).padStart(3)} bytes of stack`;
  });
}

/** One line for each program that this kernel may load and Linux 6.1 does not. */
export function stackProblems(stats: readonly ProgramStats[]): string[] {
  return stats
    .filter(({ stackBytes }) => stackBytes > STACK_LIMIT_BYTES)
    .map(({ program, stackBytes }) => {
      return `Cannot load ${program} on Linux 6.1: its calls take ${stackBytes} bytes of stack, of ${STACK_LIMIT_BYTES}`;
    });
}

if (import.meta.main) {
  const stats = programStats();
  const problems = stackProblems(stats);
  for (const line of [...formatProgramStats(stats), ...problems]) console.log(line);
  if (problems.length > 0) process.exitCode = 1;
}

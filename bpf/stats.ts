// How much the verifier has to walk for each kernel program, for `weir dev check`.

import { openObject, programInfo } from '#common/native/libbpf.ts';
import { OBJECTS, objectPath } from './build.ts';

export interface ProgramStats {
  readonly program: string;
  /** Instructions of the program as the kernel runs it. */
  readonly instructions: number;
  /** Instructions that the verifier walked, all paths together. */
  readonly verifiedInstructions: number;
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
      return { program, instructions, verifiedInstructions };
    });
  });
}

/** One line for each program. */
export function formatProgramStats(stats: readonly ProgramStats[]): string[] {
  return stats.map(({ program, instructions, verifiedInstructions }) => {
    const share = ((100 * verifiedInstructions) / VERIFIER_LIMIT).toFixed(1);
    return `${program.padEnd(14)}${String(instructions).padStart(6)} instructions, ${String(verifiedInstructions).padStart(7)} verified (${share} % of the limit)`;
  });
}

if (import.meta.main) for (const line of formatProgramStats(programStats())) console.log(line);

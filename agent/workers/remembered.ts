// Which workers run, as written down for the next agent: supervision writes it, the control channel reads it too, because
// an agent publishes policy before it supervises.

import { join } from 'node:path';
import { isAlive, type ProcessId } from '../node/process.ts';
import { readState, writeState } from '../node/state-file.ts';

export interface RememberedWorker {
  readonly slot: number;
  readonly process: ProcessId;
}

const FILE = 'workers.json';

/** What an agent, this one or an earlier one, wrote down last; none of it need run any more. */
export function rememberedWorkers(stateDir: string): readonly RememberedWorker[] {
  return readState<RememberedWorker[]>(join(stateDir, FILE)) ?? [];
}

/** Those of them that run. */
export function runningWorkers(stateDir: string): readonly RememberedWorker[] {
  return rememberedWorkers(stateDir).filter(({ process }) => isAlive(process));
}

/** Replaces what was written down. */
export function rememberWorkers(stateDir: string, workers: readonly RememberedWorker[]): void {
  writeState(join(stateDir, FILE), workers);
}

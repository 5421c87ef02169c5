// Processes that outlive their parent: a pid alone may be reused, a pid with its start time is one process.

import { readFileSync } from 'node:fs';

export interface ProcessId {
  readonly pid: number;
  /** Clock ticks from boot to the start of the process, field 22 of /proc/PID/stat. */
  readonly startTicks: number;
}

/** The identity of a running process; undefined if there is none, or only its corpse. */
export function processId(pid: number): ProcessId | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name before may hold anything
    const state = fields[0];
    if (state === 'Z' || state === 'X') return undefined;
    return { pid, startTicks: Number(fields[19]) };
  } catch {
    return undefined;
  }
}

/** Whether this very process still runs. */
export function isAlive(id: ProcessId): boolean {
  return processId(id.pid)?.startTicks === id.startTicks;
}

/** Sends `signal` if this very process still runs. */
export function signalProcess(id: ProcessId, signal: NodeJS.Signals): void {
  if (!isAlive(id)) return;
  try {
    process.kill(id.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

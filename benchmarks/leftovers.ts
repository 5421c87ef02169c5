// What a killed run left behind is found by the number of its process, which is part of every name.

import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Begins the names of this run's directory and namespaces. */
export const PREFIX = 'weir-bench-';

/** Entries of `directory` whose name has a number of a process, as the first group of `pattern`, that is gone. */
export function leftovers(directory: string, pattern: RegExp): string[] {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return []; // not there: nothing was ever made
  }
  return names.filter((name) => {
    const owner = pattern.exec(name)?.[1];
    return owner !== undefined && !isRunning(Number(owner));
  });
}

/** Removes directories of earlier runs. */
export function removeOldDirectories(): void {
  for (const name of leftovers(tmpdir(), new RegExp(`^${PREFIX}(\\d+)-`))) {
    rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

/** A process that is dead but not yet waited for is not running. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

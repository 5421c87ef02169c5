// Which programs are pinned, so that an agent that finds its own need not have them verified again: that takes the
// verifier seconds on a busy machine, during which no change of policy could take effect.
//
// The mark of an object is an empty directory of the same bpffs, named by what was loaded: it goes where the pins go, and
// does not outlive the kernel that verified them.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

export interface LoadedMark {
  /** Whether exactly this object file was loaded last, wholly. */
  isSet(): boolean;
  set(): void;
  /** Before anything is replaced: who dies on the way leaves no mark. */
  clear(): void;
}

/** The mark in `directory` (below a bpffs) of object `name` from the file at `path`. Throws if that cannot be read. */
export function loadedMark(directory: string, name: string, path: string): LoadedMark {
  const mark = join(directory, `${name}-${createHash('sha256').update(readFileSync(path)).digest('hex')}`);
  return {
    isSet: () => existsSync(mark),
    set: () => void mkdirSync(mark, { recursive: true }),
    clear() {
      if (!existsSync(directory)) return;
      for (const other of readdirSync(directory)) if (other.startsWith(`${name}-`)) rmdirSync(join(directory, other));
    },
  };
}

// One supervisor for each node: a file lock that the kernel releases when its holder dies.

import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { lockPath } from '#agent/layout.ts';
import { callError, ERRNO, errno, flock, LOCK } from '#common/native/libc.ts';
import { err, ok, type Result } from '#common/result.ts';

/** Held until it is released; the file goes with it, and the folder if no other node has anything there. */
export interface Lock {
  release(): void;
}

/** Others may take the file away between opening and locking it, but not for ever. */
const MAX_TRIES = 100;

/** Takes the lock of node `node`. The error is the process that holds it; 0: it has not said. Throws if there is no telling. */
export function takeLock(node: string): Result<Lock, { readonly pid: number }> {
  const path = lockPath(node);
  for (let i = 0; i < MAX_TRIES; i++) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    const fd = openIfThere(path);
    if (fd === undefined) continue;
    if (flock(fd, LOCK.EXCLUSIVE | LOCK.NONBLOCK) !== 0) {
      const number = errno();
      closeSync(fd);
      if (number !== ERRNO.EWOULDBLOCK) throw callError(`lock "${path}"`, number);
      return err({ pid: holder(path) });
    }
    // The file may have been removed by who held it before: then this lock is on nothing.
    if (statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino) {
      ftruncateSync(fd);
      writeSync(fd, `${process.pid}\n`);
      return ok({
        release() {
          rmSync(path, { force: true });
          closeSync(fd);
          removeParent(path);
        },
      });
    }
    closeSync(fd);
  }
  throw new Error(`Cannot lock "${path}": it is removed as fast as it is made`);
}

/** undefined: the folder has just been taken away. */
function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'a+', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function removeParent(path: string): void {
  try {
    rmdirSync(dirname(path));
  } catch {
    // Another node is there.
  }
}

function holder(path: string): number {
  try {
    return Number(readFileSync(path, 'utf8'));
  } catch {
    return 0;
  }
}

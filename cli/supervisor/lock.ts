// One supervisor for each node: file locks that the kernel releases when their holder dies. The file in /run says who it
// is; the node's cgroup directory, which is one for the whole machine, keeps out an `up` that sees another /run.

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
import { lockPath, type NodeLayout } from '#agent/layout.ts';
import { ensureCgroup } from '#agent/node/cgroup.ts';
import { callError, ERRNO, errno, flock, LOCK } from '#common/native/libc.ts';
import { err, ok, type Result } from '#common/result.ts';

/** Held until it is released; the file goes with it, and the folder if no other node has anything there. */
export interface Lock {
  release(): void;
}

/** Who holds the lock. */
export interface Holder {
  /** 0: it has not said, or is in another pid namespace. */
  readonly pid: number;
  /** It was started in another mount namespace: `weir down` of this one cannot reach it. */
  readonly isElsewhere: boolean;
}

/** Others may take the file away between opening and locking it, but not for ever. */
const MAX_TRIES = 100;

/** Takes the lock of a node, and makes its cgroup. The error is who holds it. Throws if there is no telling. */
export function takeLock(layout: Pick<NodeLayout, 'node' | 'cgroup'>): Result<Lock, Holder> {
  const file = takeFile(lockPath(layout.node));
  if (!file.ok) return file;
  try {
    const cgroup = takeCgroup(layout.cgroup);
    if (!cgroup.ok) {
      file.value.release();
      return cgroup;
    }
    return ok({
      release() {
        cgroup.value.release();
        file.value.release();
      },
    });
  } catch (error) {
    file.value.release();
    throw error;
  }
}

/** What a process says to a user who cannot have the lock. */
export function describeHolder({ pid, isElsewhere }: Holder): string {
  return `process ${pid || 'unknown'}${isElsewhere ? ', in another mount namespace' : ''}`;
}

/** The directory goes away with the node while it is locked: that is fine, and so is the next one's new directory. */
function takeCgroup(path: string): Result<Lock, Holder> {
  for (let i = 0; i < MAX_TRIES; i++) {
    ensureCgroup(path);
    const fd = openIfThere(path, 'r');
    if (fd === undefined) continue;
    if (flock(fd, LOCK.EXCLUSIVE | LOCK.NONBLOCK) !== 0) {
      const number = errno();
      const { ino } = fstatSync(fd);
      closeSync(fd);
      if (number !== ERRNO.EWOULDBLOCK) throw callError(`lock "${path}"`, number);
      return err({ pid: flockHolder(ino), isElsewhere: true });
    }
    if (statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino)
      return ok({ release: () => closeSync(fd) });
    closeSync(fd);
  }
  throw new Error(`Cannot lock "${path}": it is removed as fast as it is made`);
}

function takeFile(path: string): Result<Lock, Holder> {
  for (let i = 0; i < MAX_TRIES; i++) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    const fd = openIfThere(path, 'a+');
    if (fd === undefined) continue;
    if (flock(fd, LOCK.EXCLUSIVE | LOCK.NONBLOCK) !== 0) {
      const number = errno();
      closeSync(fd);
      if (number !== ERRNO.EWOULDBLOCK) throw callError(`lock "${path}"`, number);
      return err({ pid: holder(path), isElsewhere: false });
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
function openIfThere(path: string, flags: 'r' | 'a+'): number | undefined {
  try {
    return openSync(path, flags, 0o600);
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

/** Who has a lock on inode `ino`, by /proc/locks: "1: FLOCK  ADVISORY  WRITE 17034 00:1b:4211 0 EOF". */
function flockHolder(ino: number): number {
  const locks = readFileSync('/proc/locks', 'utf8').split('\n');
  const [, pid] = /FLOCK +\S+ +WRITE +(\d+) /.exec(locks.find((line) => line.includes(`:${ino} `)) ?? '') ?? [];
  return Number(pid ?? 0);
}

function holder(path: string): number {
  try {
    return Number(readFileSync(path, 'utf8'));
  } catch {
    return 0;
  }
}

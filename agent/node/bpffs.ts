// The node's own bpffs: a private superblock, so that its pins are found and removed as one.

import { lstatSync, mkdirSync, readdirSync, rmdirSync, statfsSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { callError, MNT, mount, umount2 } from '#common/native/libc.ts';

const BPFFS_MAGIC = 0xcafe_4a11;
/** Somebody may have mounted on top of it; more than that is not an accident. */
const MAX_STACKED_MOUNTS = 16;

/** Whether a bpffs is mounted on `dir`. */
export function isBpffs(dir: string): boolean {
  try {
    return statfsSync(dir).type === BPFFS_MAGIC;
  } catch {
    return false;
  }
}

/** Mounts a new bpffs on `dir`, or adopts the one that is there. Throws if the kernel refuses. */
export function mountBpffs(dir: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  if (isBpffs(dir)) return;
  if (mount('weir', dir, 'bpf', 0, 'mode=700') !== 0) throw callError(`mount bpffs on "${dir}"`);
}

/** Removes every pin, then the mount. Pins go first: a copy of the mount in another namespace would keep them alive. */
export function unmountBpffs(dir: string): void {
  for (let i = 0; isBpffs(dir); i++) {
    if (i === MAX_STACKED_MOUNTS) throw new Error(`Cannot unmount bpffs "${dir}": mounted over ${i} times`);
    removePins(dir);
    if (umount2(dir, MNT.DETACH) !== 0) throw callError(`unmount bpffs "${dir}"`);
  }
}

function removePins(dir: string): void {
  for (const name of readdirSync(dir)) {
    const path = join(dir, name);
    if (lstatSync(path).isDirectory()) {
      removePins(path);
      rmdirSync(path);
    } else {
      try {
        unlinkSync(path);
      } catch (error) {
        // The kernel's own iterators (maps.debug, progs.debug) cannot be removed and pin nothing of Weir's.
        if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
      }
    }
  }
}

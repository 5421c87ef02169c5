// cgroup v2: where it is mounted, and killing and removing whole subtrees.

import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { err, ok, type Result } from '#common/result.ts';

/** How long killed processes may take to be gone; one in an uninterruptible call may take that long. */
const GONE_TIMEOUT_MS = 10_000;

/** The cgroup v2 mount point; on machines that also mount v1 it is not the usual one. */
export function findCgroupRoot(mounts: string = readFileSync('/proc/mounts', 'utf8')): Result<string, string> {
  for (const line of mounts.split('\n')) {
    const [, point, type] = line.split(' ');
    if (type === 'cgroup2' && point) return ok(point.replace(/\\040/g, ' '));
  }
  return err('Cannot find cgroup v2: /proc/mounts has no mount of type cgroup2');
}

/** Creates `path` and its parents. An existing cgroup is left as it is. */
export function ensureCgroup(path: string): void {
  mkdirSync(path, { recursive: true });
}

/** Moves process `pid` into `path`. Throws if either is gone. */
export function enterCgroup(path: string, pid: number): void {
  writeFileSync(join(path, 'cgroup.procs'), `${pid}`);
}

/** Processes of `path` and everything below; none if it does not exist. */
export function cgroupProcesses(path: string): number[] {
  return [path, ...descendants(path)].flatMap((dir) =>
    readOrEmpty(join(dir, 'cgroup.procs'))
      .split('\n')
      .filter((line) => line !== '')
      .map(Number),
  );
}

/**
 * Kills every process of `path` and below at once and waits until they are gone. A missing cgroup is fine. Throws if
 * something survives, or if the caller itself is inside.
 */
export async function killCgroup(path: string): Promise<void> {
  if (cgroupProcesses(path).includes(process.pid)) {
    throw new Error(`Cannot kill cgroup "${path}": this process (${process.pid}) is inside it`);
  }
  try {
    writeFileSync(join(path, 'cgroup.kill'), '1');
  } catch (error) {
    if (isGone(error)) return;
    throw error;
  }
  const deadline = Date.now() + GONE_TIMEOUT_MS;
  for (let waitMs = 1; isPopulated(path); waitMs = Math.min(waitMs * 2, 50)) {
    if (Date.now() > deadline) {
      throw new Error(
        `Cannot kill cgroup "${path}": still alive after ${GONE_TIMEOUT_MS} ms: ${cgroupProcesses(path)}`,
      );
    }
    await sleep(waitMs);
  }
}

/** Kills what is in `path`, then removes it with everything below. A missing cgroup is fine. */
export async function removeCgroup(path: string): Promise<void> {
  await killCgroup(path);
  for (const dir of [...descendants(path).reverse(), path]) {
    for (let attempt = 0; ; attempt++) {
      try {
        rmdirSync(dir);
        break;
      } catch (error) {
        if (isGone(error)) break;
        // "populated" is cleared a moment before the kernel lets go of the directory.
        if ((error as NodeJS.ErrnoException).code !== 'EBUSY' || attempt === 100) throw error;
        await sleep(5);
      }
    }
  }
}

function descendants(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .flatMap((entry) => [join(path, entry.name), ...descendants(join(path, entry.name))]);
  } catch {
    return [];
  }
}

function isPopulated(path: string): boolean {
  return /^populated 1$/m.test(readOrEmpty(join(path, 'cgroup.events')));
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isGone(error)) return '';
    throw error;
  }
}

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENODEV';
}

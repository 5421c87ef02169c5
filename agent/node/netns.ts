// Network namespaces: entering one for the length of a synchronous call, and finding out whether a name is one.

import { closeSync, openSync, readdirSync, statfsSync } from 'node:fs';
import { CLONE, callError, setns } from '#common/native/libc.ts';

export const NETNS_DIR = '/run/netns';
const NSFS_MAGIC = 0x6e73_6673;

/**
 * Calls `run` with the main thread inside the network namespace at `path`. What `run` starts with spawn() begins there,
 * and /proc/sys/net is the namespace's own. `run` must be synchronous. Throws if the namespace cannot be entered; ends
 * the process if it cannot be left, for nothing may go on in the wrong one.
 */
export function inNetns<T>(path: string, run: () => T extends PromiseLike<unknown> ? never : T): T {
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    const target = openSync(path, 'r');
    try {
      if (setns(target, CLONE.NEWNET) !== 0) throw callError(`enter network namespace "${path}"`);
    } finally {
      closeSync(target);
    }
    try {
      return run();
    } finally {
      if (setns(home, CLONE.NEWNET) !== 0) {
        console.error(callError(`leave network namespace "${path}"`).message);
        process.abort();
      }
    }
  } finally {
    closeSync(home);
  }
}

/** Whether `path` is a network namespace that can be entered, and not the empty file that a crash left behind. */
export function isNetns(path: string): boolean {
  try {
    return statfsSync(path).type === NSFS_MAGIC;
  } catch {
    return false;
  }
}

/** Names below /run/netns that `matches` accepts, half-made ones too. */
export function listNetns(matches: (name: string) => boolean): string[] {
  try {
    return readdirSync(NETNS_DIR).filter(matches);
  } catch {
    return [];
  }
}

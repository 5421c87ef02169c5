// The command line that makes a proxy worker unprivileged: nobody, with CAP_NET_RAW for transparent and marked sockets,
// and no way to more.

import { accessSync, constants, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The user that workers run as. */
export const WORKER_UID = 65_534;
const CAPABILITIES = '-all,+net_raw';
const UNPRIVILEGED = [
  'setpriv',
  `--reuid=${WORKER_UID}`,
  `--regid=${WORKER_UID}`,
  '--clear-groups',
  `--inh-caps=${CAPABILITIES}`,
  `--ambient-caps=${CAPABILITIES}`,
  `--bounding-set=${CAPABILITIES}`,
  '--no-new-privs',
];
const OTHERS_MAY_ENTER = 0o1;
/**
 * A worker allocates little: a large nursery would only be memory at rest, and threads that help collecting would take the
 * processor from connections.
 */
export const NODE_FLAGS = ['--max-semi-space-size=4', '--single-threaded-gc'];

/**
 * Command that runs `script` (below `top`, this checkout) under this Node as an unprivileged user. Where `top` lies in a
 * folder that only its owner may enter, the worker sees it at `stage` (an empty folder that is made for that) in a mount
 * namespace of its own, read-only.
 */
export function workerCommand(options: {
  readonly top: string;
  readonly script: string;
  readonly args: readonly string[];
  readonly stage: string;
}): readonly [program: string, ...args: string[]] {
  const { top, script, args, stage } = options;
  const command = [process.execPath, ...NODE_FLAGS, join(top, script), ...args] as const;
  if (isOpenToOthers(top)) return [UNPRIVILEGED[0] as string, ...UNPRIVILEGED.slice(1), ...command];
  accessSync(top, constants.R_OK);
  mkdirSync(stage, { recursive: true, mode: 0o755 });
  const moved = command.map((part) => (part.startsWith(`${top}/`) ? stage + part.slice(top.length) : part));
  // The file system's own check is passed by the mount; a plain bind mount would stay writable for root, which nobody is.
  const enter = 'mount --bind "$0" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"';
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', enter, top, stage, ...UNPRIVILEGED, ...moved];
}

/** Whether everybody may enter `path` and every folder above it. */
export function isOpenToOthers(path: string): boolean {
  if ((statSync(path).mode & OTHERS_MAY_ENTER) === 0) return false;
  return dirname(path) === path || isOpenToOthers(dirname(path));
}

// Fills the compile cache for proxy workers: their user may read it and not write it. With it a worker starts in half the
// time, and without the 40 MB of the runtime that reads TypeScript. ./weir calls it when a source is newer.

import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isOpenToOthers, NODE_FLAGS, WORKER_UID } from '#agent/workers/command.ts';

const TOP = dirname(import.meta.dirname);
const CACHE = join(TOP, 'node_modules/.weir/compile-cache');
/** The runtime names a folder by version, architecture, flags and user. */
const OF_ROOT = /-0$/;

/**
 * Loads the modules of a worker as root and gives the folder the name that the workers' user looks for. Nothing on the way
 * can be written by that user, who is also the one that whatever broke into a worker is.
 */
function warm(): void {
  mkdirSync(CACHE, { recursive: true });
  const own = mkdtempSync(join(CACHE, 'new-'));
  try {
    const args = [...NODE_FLAGS, join(TOP, 'proxy/main.ts'), '--warm=true', '--slot=0', '--control=none'];
    execFileSync(process.execPath, args, { cwd: '/', env: { ...process.env, NODE_COMPILE_CACHE: own }, stdio: 'pipe' });
    for (const name of readdirSync(own).filter((folder) => OF_ROOT.test(folder))) {
      const folder = join(own, name);
      for (const file of readdirSync(folder)) chmodSync(join(folder, file), 0o644);
      chmodSync(folder, 0o755);
      const target = join(CACHE, name.replace(OF_ROOT, `-${WORKER_UID}`));
      rmSync(target, { recursive: true, force: true });
      renameSync(folder, target);
    }
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

// In a private folder a worker sees this tree elsewhere, where nothing of the cache would fit.
if (isOpenToOthers(TOP)) warm();

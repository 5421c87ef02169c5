// Fills the compile cache for proxy workers: their user may read it and not write it. With it a worker starts in half the
// time, and without the 40 MB of the runtime that reads TypeScript. ./weir calls it when a source is newer.

import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, globSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isOpenToOthers, WORKER_UID, workerCommand } from '#agent/workers/command.ts';

const TOP = dirname(import.meta.dirname);
const CACHE = join(TOP, 'node_modules/.weir/compile-cache');

/** A worker that only loads its modules, into a folder of its user's. Then the folder becomes root's. */
function warm(): void {
  mkdirSync(CACHE, { recursive: true });
  const own = mkdtempSync(join(CACHE, 'new-'));
  try {
    chownSync(own, WORKER_UID, WORKER_UID);
    const args = ['--warm=true', '--slot=0', '--control=none'];
    const [program, ...rest] = workerCommand({ top: TOP, script: 'proxy/main.ts', args, stage: own });
    execFileSync(program, rest, { cwd: '/', env: { ...process.env, NODE_COMPILE_CACHE: own }, stdio: 'pipe' });
    for (const path of globSync('**', { cwd: own })) {
      chownSync(join(own, path), 0, 0);
      chmodSync(join(own, path), path.includes('/') ? 0o644 : 0o755);
    }
    // Named by version, architecture and user.
    for (const name of readdirSync(own)) {
      rmSync(join(CACHE, name), { recursive: true, force: true });
      renameSync(join(own, name), join(CACHE, name));
    }
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

// In a private folder a worker sees this tree elsewhere, where nothing of the cache would fit.
if (isOpenToOthers(TOP)) warm();

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { isOpenToOthers, workerCommand } from '#agent/workers/command.ts';

const TOP = dirname(import.meta.dirname);
const CACHE = join(TOP, 'node_modules/.weir/compile-cache');
const isRoot = process.getuid?.() === 0;
const skip = isRoot ? !isOpenToOthers(TOP) && 'this checkout lies in a private folder' : 'needs root';

describe('warm-workers', { skip }, () => {
  test('leaves a cache that a worker takes its modules from, and that its user cannot write', () => {
    execFileSync(process.execPath, [join(import.meta.dirname, 'warm-workers.ts')]);
    const stage = mkdtempSync(join(tmpdir(), 'weir-warm-'));
    try {
      const args = ['--warm=true', '--slot=0', '--control=none'];
      const [program, ...rest] = workerCommand({ top: TOP, script: 'proxy/main.ts', args, stage });
      const env = { ...process.env, NODE_COMPILE_CACHE: CACHE, NODE_DEBUG_NATIVE: 'COMPILE_CACHE' };
      const said = execFileSync('sh', ['-c', 'exec 2>&1 && exec "$@"', 'sh', program, ...rest], { env }).toString();
      assert.match(said, /V8 code cache for ESM file:\S*\/proxy\/main\.ts was accepted/);
      assert.doesNotMatch(said, /was rejected/);
    } finally {
      rmSync(stage, { recursive: true });
    }
    const files = globSync('*-65534/**', { cwd: CACHE });
    assert.ok(files.length > 50, `${files.length} files`);
    for (const file of files) {
      const { uid, mode } = statSync(join(CACHE, file));
      assert.deepEqual([uid, mode & 0o022], [0, 0], file);
    }
  });
});

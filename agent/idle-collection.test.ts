// In processes of their own: the collector of this one is everybody's.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, it } from 'node:test';

const MODULE = join(import.meta.dirname, 'idle-collection.ts');
/** Prints the bytes in the nursery: when there is much in it, after a call, and after another one. */
const SCRIPT = `
  import { getHeapSpaceStatistics } from 'node:v8';
  import { collectWhileIdle } from ${JSON.stringify(MODULE)};
  const used = () => getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_used_size;
  globalThis.kept = Array.from({ length: 200_000 }, (_, i) => ({ i })); // what survives makes the nursery grow
  for (let tries = 0; used() < 1.5 * 1024 * 1024 && tries < 100_000; tries++) globalThis.last = Array(100).fill(tries);
  const all = [used()];
  for (let i = 0; i < 2; i++) {
    collectWhileIdle();
    all.push(used());
  }
  console.log(JSON.stringify(all));
`;

function nursery(...flags: readonly string[]): readonly [full: number, after: number, later: number] {
  const args = ['--max-semi-space-size=8', ...flags, '--input-type=module', '--eval', SCRIPT];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as [number, number, number];
}

describe('collectWhileIdle', () => {
  it('empties a nursery that has much in it, and leaves it alone when it has little', () => {
    const [full, after, later] = nursery('--expose-gc');
    assert.ok(full > 1024 * 1024, `${full}`);
    assert.ok(after < full / 2, `${full} ${after}`);
    assert.ok(later >= after, `${after} ${later}`);
  });
  it('does nothing in a process that does not expose its collector', () => {
    const [full, after] = nursery();
    assert.ok(after >= full, `${full} ${after}`);
  });
});

// Workers are unprivileged, wherever the checkout lies.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isOpenToOthers, workerCommand } from './command.ts';

const skip = process.getuid?.() !== 0 && 'needs root';
const dir = mkdtempSync(join(tmpdir(), 'weir-command-')); // 0700
const script = `import { readFileSync, writeFileSync } from 'node:fs';
  const status = readFileSync('/proc/self/status', 'utf8');
  const field = (name) => new RegExp('^' + name + ':\\\\s*(\\\\S+)', 'm').exec(status)[1];
  let canWrite = true;
  try { writeFileSync(new URL('written', import.meta.url), ''); } catch { canWrite = false; }
  const caps = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map((name) => Number('0x' + field(name)));
  console.log(JSON.stringify({ uid: process.getuid(), groups: process.getgroups(), caps, sealed: field('NoNewPrivs'),
    canWrite, argument: process.argv[2] }));`;

after(() => rmSync(dir, { recursive: true }));

const cases = [
  { name: 'open', mode: 0o755, program: 'setpriv' },
  { name: 'closed', mode: 0o700, program: 'unshare' },
];
for (const { name, mode, program } of cases) {
  test(`workerCommand runs as nobody with CAP_NET_RAW alone in a checkout that is ${name} to others`, { skip }, () => {
    const top = join(dir, name, 'top');
    const stage = join(tmpdir(), `weir-stage-${process.pid}`);
    mkdirSync(top, { recursive: true });
    chmodSync(dir, 0o755);
    chmodSync(join(dir, name), mode);
    writeFileSync(join(top, 'worker.mjs'), script);
    try {
      const [first, ...args] = workerCommand({ top, script: 'worker.mjs', args: ['x'], stage });
      assert.equal(first, program);
      const { stdout, stderr } = spawnSync(first, args, { encoding: 'utf8', cwd: '/' });
      const seen = JSON.parse(stdout || `{"stderr":${JSON.stringify(stderr)}}`);
      const netRaw = 1 << 13;
      assert.deepEqual(seen, {
        ...{ uid: 65534, groups: [65534], caps: Array(5).fill(netRaw), sealed: '1' },
        ...{ canWrite: false, argument: 'x' },
      });
      // Nothing is mounted outside of the worker's own namespace.
      if (existsSync(stage)) assert.deepEqual(readdirSync(stage), []);
    } finally {
      rmSync(stage, { recursive: true, force: true });
    }
  });
}

test('isOpenToOthers sees a closed folder above', () => {
  chmodSync(dir, 0o700);
  mkdirSync(join(dir, 'below'), { recursive: true });
  assert.equal(isOpenToOthers(join(dir, 'below')), false);
  assert.equal(isOpenToOthers('/usr/bin'), true);
});

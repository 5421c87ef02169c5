import assert from 'node:assert/strict';
import { test } from 'node:test';
import { optionArgs, readOptions } from './options.ts';

const TABLE = {
  nodeName: { env: 'T_NODE', type: 'string', default: 'node0', about: 'Name.' },
  workers: { env: 'T_WORKERS', type: 'number', default: 2, min: 1, about: 'Workers.' },
  fast: { env: 'T_FAST', type: 'boolean', default: false, about: 'Fast.' },
} as const;

test('readOptions takes flags before the environment before defaults', () => {
  const read = readOptions(TABLE, ['--node-name=a'], { T_NODE: 'b', T_WORKERS: '3' });
  assert.deepEqual(read, { ok: true, value: { nodeName: 'a', workers: 3, fast: false } });
});

test('readOptions reads what optionArgs writes', () => {
  const options = { nodeName: 'x y', workers: 7, fast: true };
  assert.deepEqual(readOptions(TABLE, optionArgs(options), {}), { ok: true, value: options });
});

test('readOptions freezes its result', () => {
  const read = readOptions(TABLE, [], {});
  assert.ok(read.ok && Object.isFrozen(read.value));
});

const refusals = [
  { args: ['--workers=x'], reason: /--workers \(T_WORKERS\): "x" is not a number/ },
  { args: ['--workers='], reason: /not a number/ },
  { args: ['--workers=0'], reason: /0 is below 1/ },
  { args: ['--fast=yes'], reason: /neither true nor false/ },
  { args: ['--unknown=1'], reason: /unknown/i },
  { args: ['stray'], reason: /stray/ },
] as const;
for (const { args, reason } of refusals) {
  test(`readOptions refuses ${args}`, () => {
    const read = readOptions(TABLE, args, {});
    assert.ok(!read.ok);
    assert.match(read.error.join('\n'), reason);
  });
}

test('readOptions names every problem at once', () => {
  const read = readOptions(TABLE, ['--workers=x', '--fast=y'], {});
  assert.equal(!read.ok && read.error.length, 2);
});

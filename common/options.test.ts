import assert from 'node:assert/strict';
import { test } from 'node:test';
import { optionArgs, readOptions } from './options.ts';

const TABLE = {
  nodeName: { env: 'T_NODE', type: 'string', default: 'node0', about: 'Name.' },
  workers: { env: 'T_WORKERS', type: 'number', default: 2, min: 1, about: 'Workers.' },
  fast: { env: 'T_FAST', type: 'boolean', default: false, about: 'Fast.' },
  share: { env: 'T_SHARE', type: 'number', default: 1, min: 0, max: 1, about: 'Share.' },
  count: { env: 'T_COUNT', type: 'number', default: 0, min: 0, max: 64, integer: true, about: 'Count.' },
  mode: { env: 'T_MODE', type: 'string', default: 'auto', oneOf: ['auto', 'tcx'], about: 'Mode.' },
  sink: { env: 'T_SINK', type: 'string', default: '', url: true, about: 'Sink.' },
} as const;

const DEFAULTS = { nodeName: 'node0', workers: 2, fast: false, share: 1, count: 0, mode: 'auto', sink: '' };

test('readOptions takes flags before the environment before defaults', () => {
  const read = readOptions(TABLE, ['--node-name=a'], { T_NODE: 'b', T_WORKERS: '3' });
  assert.deepEqual(read, { ok: true, value: { ...DEFAULTS, nodeName: 'a', workers: 3 } });
});

test('readOptions reads what optionArgs writes', () => {
  const options = {
    ...{ nodeName: 'x y', workers: 7, fast: true },
    ...{ share: 0.5, count: 64, mode: 'tcx', sink: 'http://127.0.0.1:9411/api/v2/spans' },
  };
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
  { args: ['--share=2'], reason: /2 is above 1/ },
  { args: ['--share=abc'], reason: /"abc" is not a number from 0 to 1/ },
  { args: ['--count=1.5'], reason: /"1.5" is not a whole number from 0 to 64/ },
  { args: ['--mode=xdp'], reason: /--mode \(T_MODE\): "xdp" is not one of auto, tcx/ },
  { args: ['--sink=foo'], reason: /"foo" is not a URL of the form http:\/\/HOST:PORT/ },
  { args: ['--sink=ftp://x:1'], reason: /not a URL/ },
  { args: ['--sink=http://:1'], reason: /not a URL/ },
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

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readBtf } from './btf.ts';
import { staleFiles } from './generate.ts';

test('`staleFiles` finds bpf/abi.ts and docs/maps.md up to date', () => {
  assert.deepEqual(staleFiles(), []);
});

test('`readBtf` refuses what is no object', () => {
  assert.throws(() => readBtf(Buffer.alloc(100)), /not ELF/);
});

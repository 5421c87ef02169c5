// A real folder, watched; tables read back.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTables, type Tables } from '../tables.ts';
import { type DirectorySource, watchDirectory } from './directory.ts';

let dir: string;
let tables: Tables;
let source: DirectorySource;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'weir-source-'));
  tables = createTables();
});
afterEach(() => {
  source?.close();
  rmSync(dir, { recursive: true });
});

const namespace = (name: string, label = 'a'): string =>
  `apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ${name}\n  labels: {team: ${label}}\n`;
const start = (): void => {
  source = watchDirectory({ dir, tables });
};
const save = (name: string, text: string): void => writeFileSync(join(dir, name), text);
const names = (): string[] => [...tables.inputs.namespaces.entries()].map(([name]) => name).sort();
const refusedFiles = (): string[] => [...tables.objects.values()].filter((row) => !row.accepted).map((row) => row.file);

async function until(about: string, holds: () => boolean): Promise<void> {
  for (let waited = 0; waited < 5_000; waited += 5) {
    if (holds()) return;
    await sleep(5);
  }
  assert.fail(`Cannot see ${about}: not after 5 s; namespaces ${names()}`);
}

test('watchDirectory reads what is there before it returns', () => {
  save('a.yaml', namespace('one'));
  mkdirSync(join(dir, 'deeper'));
  save('deeper/b.yml', namespace('two'));
  save('.hidden.yaml', namespace('hidden'));
  save('notes.txt', namespace('text'));
  start();
  assert.deepEqual(names(), ['one', 'two']);
});

test('watchDirectory follows added, edited, renamed-over and removed files, in new folders too', async () => {
  start();
  save('a.yaml', namespace('one'));
  await until('the added file', () => names().join() === 'one');
  save('a.yaml', namespace('one', 'b'));
  await until('the edit', () => tables.inputs.namespaces.get('one')?.labels['team'] === 'b');
  save('.a.tmp', namespace('other'));
  renameSync(join(dir, '.a.tmp'), join(dir, 'a.yaml'));
  await until('the renamed file', () => names().join() === 'other');
  mkdirSync(join(dir, 'late'));
  await sleep(20);
  save('late/c.yaml', namespace('three'));
  await until('the file in a new folder', () => names().join() === 'other,three');
  rmSync(join(dir, 'a.yaml'));
  await until('the removal', () => names().join() === 'three');
});

test('watchDirectory refuses a broken file whole, says where, and keeps what was in force', async () => {
  save('a.yaml', namespace('one'));
  start();
  save('a.yaml', `${namespace('one', 'b')}---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: two\n  labls: {}\n`);
  await until('the refusal', () => refusedFiles().length === 1);
  assert.deepEqual(names(), ['one']);
  assert.equal(tables.inputs.namespaces.get('one')?.labels['team'], 'a');
  const problem = tables.objects.get(join(dir, 'a.yaml'))?.problems[0];
  assert.equal(problem?.line, 11);
  assert.match(problem?.field ?? '', /metadata\.labls/);
  assert.match(problem?.reason ?? '', /labels/);
  save('a.yaml', namespace('one', 'c'));
  await until('the mended file', () => tables.inputs.namespaces.get('one')?.labels['team'] === 'c');
  assert.deepEqual(refusedFiles(), []);
});

test('watchDirectory refuses an object that another file has in force, until that one lets go', async () => {
  save('b.yaml', namespace('one', 'b'));
  start();
  save('a.yaml', `${namespace('one', 'a')}---\n${namespace('two')}`);
  await until('the refusal', () => refusedFiles().length === 1);
  assert.deepEqual(names(), ['one']);
  assert.equal(tables.inputs.namespaces.get('one')?.labels['team'], 'b');
  assert.match(tables.objects.get(join(dir, 'a.yaml'))?.problems[0]?.reason ?? '', /b\.yaml/);
  rmSync(join(dir, 'b.yaml'));
  await until('the second file in force', () => names().join() === 'one,two');
  assert.deepEqual(refusedFiles(), []);
});

test('watchDirectory does not take a file that is emptied for a moment as gone', async () => {
  save('a.yaml', namespace('one'));
  start();
  const seen: number[] = [];
  tables.inputs.namespaces.subscribe(() => seen.push(tables.inputs.namespaces.size));
  for (let round = 0; round < 5; round++) {
    save('a.yaml', '');
    await sleep(15);
    save('a.yaml', namespace('one', `round-${round}`));
    await sleep(15);
  }
  await until('the last edit', () => tables.inputs.namespaces.get('one')?.labels['team'] === 'round-4');
  assert.ok(!seen.includes(0));
  save('a.yaml', '');
  await until('the emptied file', () => names().length === 0);
});

test('watchDirectory leaves a row alone when only its place in the file moved', async () => {
  save('a.yaml', namespace('one'));
  start();
  const before = tables.inputs.namespaces.get('one');
  save('a.yaml', `# a remark\n${namespace('one')}---\n${namespace('two')}`);
  await until('the second object', () => names().join() === 'one,two');
  assert.equal(tables.inputs.namespaces.get('one'), before);
});

test('watchDirectory says so when the folder cannot be read', () => {
  source = watchDirectory({ dir: join(dir, 'missing'), tables });
  assert.match(source.problem() ?? '', /missing cannot be read/);
});

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { PODS, policy } from './mesh.fixture.ts';
import { readAll, readTexts } from './read.ts';

const folder = mkdtempSync(join(tmpdir(), 'weir-read-'));
after(() => rmSync(folder, { recursive: true }));

test('`readTexts` reads files and what is below folders, each once', () => {
  mkdirSync(join(folder, 'inner'));
  for (const name of ['a.yaml', 'inner/b.yml', 'inner/c.json', 'notes.txt', '.hidden.yaml']) {
    writeFileSync(join(folder, name), '');
  }
  const names = (...paths: string[]): string[] =>
    readTexts(paths.map((path) => join(folder, path))).map(({ file }) => file.slice(folder.length + 1));
  assert.deepEqual(
    names(''),
    ['a.yaml', 'inner/b.yml', 'inner/c.json'].map((name) => name),
  );
  assert.deepEqual(names('a.yaml', 'a.yaml', '.hidden.yaml'), ['a.yaml', '.hidden.yaml']);
  assert.throws(() => names('nowhere.yaml'), /^Error: Cannot read ".*nowhere\.yaml": there is no such file or folder$/);
});

test('`readAll` refuses an object that two files have, and keeps the rest', () => {
  const one = policy('p', 'web', 'ingress: [{}]');
  const reading = readAll([
    { file: 'a.yaml', text: `${PODS}---\n${one}` },
    { file: 'b.yaml', text: one },
  ]);
  assert.deepEqual(reading.files, ['a.yaml', 'b.yaml']);
  assert.equal(
    reading.objects.some((object) => object.name === 'p'),
    false,
  );
  assert.equal(reading.objects.length, 6);
  const [problem] = reading.problems.filter(({ warning }) => !warning);
  assert.equal(problem?.file, 'b.yaml');
  assert.match(problem?.reason ?? '', /is written in a\.yaml:\d+ too: remove one of them/);
});

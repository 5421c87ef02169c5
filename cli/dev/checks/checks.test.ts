import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importProblem, importsOf } from './imports.ts';
import { countConditionals, lengthProblem, longFunctions } from './sizes.ts';
import { foldersWithoutReadme, textProblems } from './texts.ts';
import { readAnnotations } from './tools.ts';

const packages = new Set(['zod', '@grpc/grpc-js']);

for (const { file, specifier, problem } of [
  { file: 'agent/a.ts', specifier: './b.ts', problem: undefined },
  { file: 'agent/sync/a.ts', specifier: '../tables.ts', problem: undefined },
  { file: 'agent/a.ts', specifier: '#common/ip.ts', problem: undefined },
  { file: 'agent/a.ts', specifier: '#observe/flow.ts', problem: undefined },
  { file: 'proxy/a.ts', specifier: '#bpf/abi.ts', problem: undefined },
  { file: 'cli/a.ts', specifier: '#agent/layout.ts', problem: undefined },
  { file: 'cli/dev/vectors/a.ts', specifier: '#agent/tables.ts', problem: undefined },
  { file: 'cli/dev/vectors/a.ts', specifier: '../../exit.ts', problem: undefined },
  { file: 'cli/dev/vectors/a.ts', specifier: '#proxy/main.ts', problem: /may import common, mesh-config, agent, bpf/ },
  { file: 'cli/dev/a.ts', specifier: '#agent/tables.ts', problem: /cli\/ may import/ },
  { file: 'cli/a.ts', specifier: '#agent/options.ts', problem: undefined },
  { file: 'test/a.ts', specifier: '#agent/main.ts', problem: undefined },
  { file: 'test/a.ts', specifier: '../proxy/main.ts', problem: undefined },
  { file: 'agent/a.ts', specifier: 'node:fs', problem: undefined },
  { file: 'agent/a.ts', specifier: '@grpc/grpc-js', problem: undefined },
  { file: 'agent/a.ts', specifier: '#proxy/main.ts', problem: /agent\/ may import common, mesh-config/ },
  { file: 'proxy/a.ts', specifier: '#agent/layout.ts', problem: /proxy\/ may import/ },
  { file: 'proxy/a.ts', specifier: '#bpf/load.ts', problem: /proxy\/ may import/ },
  { file: 'agent/a.ts', specifier: '#observe/ring.ts', problem: /agent\/ may import/ },
  { file: 'cli/a.ts', specifier: '#agent/layout-other.ts', problem: /cli\/ may import/ },
  { file: 'common/a.ts', specifier: '#api/load.ts', problem: /may import nothing/ },
  { file: 'cli/a.ts', specifier: '../tools/build.ts', problem: /leaves cli/ },
  { file: 'agent/a.ts', specifier: '#agent/tables.ts', problem: /write a relative path/ },
  { file: 'agent/a.ts', specifier: './b', problem: /extension/ },
  { file: 'agent/a.ts', specifier: 'fs', problem: /write "node:fs"/ },
  { file: 'agent/a.ts', specifier: 'zod/v4', problem: undefined },
  { file: 'agent/a.ts', specifier: 'lodash', problem: /not a dependency/ },
]) {
  test(`importProblem ${problem ? 'refuses' : 'allows'} ${specifier} in ${file}`, () => {
    const found = importProblem(file, specifier, packages);
    if (problem) assert.match(found ?? '', problem);
    else assert.equal(found, undefined);
  });
}

test('importsOf finds every form of import with its line and none in comments', () => {
  const text = [
    "import a from './a.ts';",
    "// import no from './no.ts';",
    'import {',
    '  b,',
    "} from './b.ts';",
    "import './c.ts';",
    "export { d } from './d.ts';",
    "const e = await import('./e.ts');",
    "import type { F } from './f.ts';",
    '/**',
    " * import no from './no.ts'",
    ' */',
  ].join('\n');
  assert.deepEqual(
    importsOf(text).map(({ specifier, line }) => `${specifier} ${line}`),
    ['./a.ts 1', './b.ts 5', './c.ts 6', './d.ts 7', './e.ts 8', './f.ts 9'],
  );
});

const lines = (count: number): string => 'x\n'.repeat(count);

for (const { name, file, text, isProblem } of [
  { name: 'TypeScript of 300 lines', file: 'a/b.ts', text: lines(300), isProblem: false },
  { name: 'TypeScript of 301 lines', file: 'a/b.ts', text: lines(301), isProblem: true },
  {
    name: 'a long file that says why',
    file: 'a/b.ts',
    text: `// Over 300 lines: one table.\n${lines(400)}`,
    isProblem: false,
  },
  {
    name: 'a long file that says why too late',
    file: 'a/b.ts',
    text: `${lines(20)}// Over 300 lines: x\n${lines(400)}`,
    isProblem: true,
  },
  { name: 'C of 251 lines', file: 'bpf/b.h', text: lines(251), isProblem: true },
  { name: 'generated code', file: 'bpf/abi.ts', text: lines(900), isProblem: false },
  { name: 'a long ARCHITECTURE.md', file: 'ARCHITECTURE.md', text: lines(151), isProblem: true },
  { name: 'a long text', file: 'docs/b.md', text: lines(900), isProblem: false },
]) {
  test(`lengthProblem ${isProblem ? 'refuses' : 'accepts'} ${name}`, () => {
    assert.equal(lengthProblem(file, text) !== undefined, isProblem);
  });
}

test('longFunctions names functions of C over 70 lines by their first line', () => {
  const short = `int a(void)\n{\n${lines(68)}}\n`;
  const long = `int b(void)\n{\n${lines(69)}}\n`;
  assert.deepEqual(longFunctions('bpf/a.h', short + long), ['bpf/a.h:73: function of 71 lines, at most 70']);
});

test('countConditionals counts if, ifdef and ifndef only', () => {
  assert.equal(countConditionals('#if A\n# ifdef B\n#else\n#endif\n#ifndef C\n#define D\n'), 3);
});

for (const { name, file, text, count } of [
  { name: 'clean text', file: 'a/b.ts', text: 'fine\n', count: 0 },
  { name: 'unfinished work', file: 'a/b.ts', text: `// ${'TO'}${'DO'}: later\n`, count: 1 },
  { name: 'a merge conflict', file: 'a/b.md', text: '<<<<<<< HEAD\nx\n>>>>>>> y\n', count: 2 },
  { name: 'C without licence and guard', file: 'bpf/a.h', text: 'int x;\n', count: 2 },
  {
    name: 'C with both',
    file: 'bpf/a.h',
    text: '/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */\n#pragma once\n',
    count: 0,
  },
]) {
  test(`textProblems finds ${count} in ${name}`, () => {
    assert.equal(textProblems(file, text).length, count);
  });
}

test('foldersWithoutReadme asks every folder but docs and hidden ones', () => {
  const files = ['agent/a.ts', 'proxy/a.ts', 'proxy/README.md', 'docs/a.md', '.ci/run', 'weir'];
  assert.deepEqual(foldersWithoutReadme(files), ['agent/: no README.md (what it is, entry file, invariants)']);
});

test('readAnnotations turns annotations into one line each', () => {
  const text = '::error title=format,file=/top/a/b.ts,line=3,endLine=4,col=1,endColumn=2::Not formatted: x\nother\n';
  assert.deepEqual(readAnnotations(text, '/top'), ['a/b.ts:3: format: Not formatted: x']);
});

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { bpfFindings, HELPERS, MAP_TYPES } from './bpf.ts';
import { formatFindings } from './command.ts';
import { needed } from './finding.ts';
import { type BpfProbe, createBpfProbe } from './probe.ts';
import { isAtLeast, systemFindings } from './system.ts';
import { parsePackages } from './tools.ts';

const TOP = dirname(dirname(import.meta.dirname));
const isRoot = process.getuid?.() === 0;

const everything: BpfProbe = { programType: () => true, mapType: () => true, helper: () => true, tcx: () => true };

for (const { release, oldest, expected } of [
  { release: '6.1.0-44-amd64', oldest: '6.1', expected: true },
  { release: '6.18.44-x', oldest: '6.6', expected: true },
  { release: '7.0', oldest: '6.1', expected: true },
  { release: '6.0.19', oldest: '6.1', expected: false },
  { release: '5.15.0-generic', oldest: '6.1', expected: false },
]) {
  test(`isAtLeast says ${expected} for ${release} and ${oldest}`, () => {
    assert.equal(isAtLeast(release, oldest), expected);
  });
}

test('bpfFindings are ok where the kernel has everything', () => {
  const states = bpfFindings(everything, { isRoot: true }).map(({ state }) => state);
  assert.deepEqual(new Set(states), new Set(['ok']));
});

for (const { name, probe, expected } of [
  {
    name: 'a map type',
    probe: { mapType: (type: number) => type !== 27 },
    expected: 'map types: missing: without ringbuf',
  },
  {
    name: 'a helper',
    probe: { helper: (_type: number, id: number) => id !== HELPERS.sched_cls.sk_assign },
    expected: 'helpers of sched_cls: missing: without sk_assign',
  },
  { name: 'tcx', probe: { tcx: () => false }, expected: 'tcx: remark: not in this kernel: clsact is used instead' },
]) {
  test(`bpfFindings name ${name} that the kernel lacks`, () => {
    const findings = bpfFindings({ ...everything, ...probe }, { isRoot: true });
    const others = findings.filter(({ state }) => state !== 'ok');
    assert.deepEqual(
      others.map((finding) => `${finding.name}: ${finding.state}: ${finding.detail}`),
      [expected],
    );
  });
}

test('bpfFindings cannot tell without root', () => {
  const states = bpfFindings(everything, { isRoot: false }).map(({ state }) => state);
  assert.deepEqual(new Set(states), new Set(['unknown']));
});

test('createBpfProbe tells what this kernel has from what no kernel has', { skip: !isRoot && 'needs root' }, () => {
  const probe = createBpfProbe();
  const schedCls = 3;
  assert.deepEqual(
    [probe.programType(schedCls), probe.mapType(1), probe.helper(schedCls, 1)],
    [true, true, true],
    'has them',
  );
  assert.deepEqual(
    [probe.programType(9999), probe.mapType(9999), probe.helper(schedCls, 9999)],
    [false, false, false],
    'has not',
  );
  const syscall = 31;
  assert.deepEqual([probe.programType(syscall), probe.helper(syscall, 164)], [true, true], 'may sleep');
  // bpf_sk_assign is for tc, not for cgroup programs.
  assert.equal(probe.helper(18, 124), false);
});

test('systemFindings try what they name', { skip: !isRoot && 'needs root' }, () => {
  const missing = systemFindings({ isRoot: true }).filter(({ state }) => state !== 'ok');
  assert.deepEqual(missing, []);
});

test('formatFindings sums up what is missing and says what to do', () => {
  const findings = [
    needed('kernel', 'BTF', { isThere: false, detail: 'no file', remedy: 'boot another' }),
    needed('tools', 'ip', { isThere: true, remedy: 'install it' }),
    needed('bpf', 'tcx', { isThere: undefined, remedy: '' }),
  ];
  const lines = formatFindings(findings).split('\n');
  assert.match(lines[1] ?? '', /^kernel +BTF +missing +no file -> boot another$/);
  assert.match(lines[2] ?? '', /^tools +ip +ok$/);
  assert.equal(lines.at(-1), '1 missing, 1 cannot be told without root.');
});

test('parsePackages reads the table of this checkout', () => {
  const lines = parsePackages(readFileSync(join(TOP, 'tools/debian-packages.txt'), 'utf8'));
  assert.ok(lines.some((line) => line.package === 'clang' && line.probe === 'clang' && line.need === 'run'));
  assert.deepEqual(new Set(lines.map(({ need }) => need)), new Set(['npm', 'node', 'run', 'test', 'bench']));
});

test('the helpers and map types asked for are those that the kernel programs use', () => {
  const sources = globSync(['bpf/*.bpf.c', 'bpf/lib/*.h'], { cwd: TOP });
  const text = sources.map((file) => readFileSync(join(TOP, file), 'utf8')).join('\n');
  const called = [...text.matchAll(/\bbpf_(\w+)\(/g)].map(([, name = '']) => name);
  const helpers = called.filter((name) => !/^(?:hton|ntoh|be\d|cpu_to|core_)/.test(name)); // not byte order and CO-RE
  assert.deepEqual(
    [...new Set(Object.values(HELPERS).flatMap((byName) => Object.keys(byName)))].sort(),
    [...new Set(helpers)].sort(),
  );
  const types = [...text.matchAll(/\bBPF_MAP_TYPE_(\w+)/g)].map(([, name = '']) => name.toLowerCase());
  assert.deepEqual(Object.keys(MAP_TYPES).sort(), [...new Set(types)].sort());
});

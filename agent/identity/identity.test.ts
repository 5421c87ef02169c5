import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatCidr, parseCidr } from '#common/ip.ts';
import type { NamePattern } from '#mesh-config/model.ts';
import { createAllocator } from './allocator.ts';
import { createLabelFilter, defaultLabelFilter } from './label-filter.ts';
import { identityLabels, parseIdentityLabel, portTexts } from './labels.ts';
import { matchesName } from './name-pattern.ts';
import { createPrefixTree } from './prefix-tree.ts';

const numbers = (n: number): number => n;

describe('createLabelFilter', () => {
  const defaults: readonly (readonly [string, boolean])[] = [
    ['app', true],
    ['app.kubernetes.io/name', true],
    ['example.com/kubernetes.io', true],
    ['io.kubernetes.pod.namespace', false],
    ['kubernetes.io/arch', false],
    ['beta.kubernetes.io/os', false],
    ['node.beta.kubernetes.io/x', false],
    ['k8s.io/x', false],
    ['topology.kubernetes.io/zone', false],
    ['statefulset.kubernetes.io/pod-name', false],
    ['statefulset.kubernetes.io/other', true],
    ['apps.kubernetes.io/pod-index', false],
    ['batch.kubernetes.io/job-name', true],
    ['batch.kubernetes.io/job-completion-index', false],
    ['batch.kubernetes.io/controller-uid', false],
    ['pod-template-hash', false],
    ['controller-revision-hash', false],
    ['annotation.x', false],
    ['etcd_node', false],
    ['io.cilium.k8s.policy.serviceaccount', false],
    ['io.cilium.k8s.namespace.labels.team', false],
  ];
  for (const [key, expected] of defaults) {
    it(`by default says ${expected} for ${key}`, () => assert.equal(defaultLabelFilter(key), expected));
  }
  const cases: readonly { words: readonly string[]; key: string; counts: boolean }[] = [
    { words: ['!version'], key: 'version', counts: false },
    { words: ['!version'], key: 'app', counts: true },
    { words: ['!version'], key: 'pod-template-hash', counts: false },
    { words: ['app', 'k8s:tier'], key: 'tier', counts: true },
    { words: ['app'], key: 'tier', counts: false },
    { words: ['app', '!app.example.com'], key: 'app.example.com/x', counts: false },
    { words: ['!app', 'k8s:app.example.com'], key: 'app.example.com/x', counts: true },
    { words: ['k8s:!app'], key: 'app', counts: false },
    { words: ['pod-template-hash'], key: 'pod-template-hash', counts: true },
    { words: ['io.cilium.k8s'], key: 'io.cilium.k8s.policy.cluster', counts: false },
  ];
  for (const { words, key, counts } of cases) {
    it(`with "${words.join(' ')}" says ${counts} for ${key}`, () =>
      assert.equal(createLabelFilter(words)(key), counts));
  }
});

describe('identityLabels', () => {
  it('takes what the platform knows from the platform, not from the pod', () => {
    const pod = {
      namespace: 'a',
      labels: { app: 'x', 'io.kubernetes.pod.namespace': 'b', 'io.cilium.k8s.policy.serviceaccount': 'root' },
      serviceAccount: 's',
    };
    const namespaceLabels = { team: 't', 'kubernetes.io/metadata.name': 'forged' };
    const labels = identityLabels(pod, { namespaceLabels, cluster: 'default', filter: defaultLabelFilter });
    assert.deepEqual(labels, [
      'k8s:app=x',
      'k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=a',
      'k8s:io.cilium.k8s.namespace.labels.team=t',
      'k8s:io.cilium.k8s.policy.cluster=default',
      'k8s:io.cilium.k8s.policy.serviceaccount=s',
      'k8s:io.kubernetes.pod.namespace=a',
    ]);
  });
  it('`parseIdentityLabel` takes apart what has colons and equals signs in its value', () => {
    assert.deepEqual(parseIdentityLabel('k8s:a/b=c=d:e'), { source: 'k8s', key: 'a/b', value: 'c=d:e' });
    assert.deepEqual(parseIdentityLabel('reserved:host'), { source: 'reserved', key: 'host', value: '' });
    assert.deepEqual(parseIdentityLabel('cidr:fd00::/8'), { source: 'cidr', key: 'fd00::/8', value: '' });
  });
  it('`portTexts` names each port once, without case', () => {
    const port = (name: string, number: number) => ({ name, port: number, protocol: 'TCP' });
    assert.deepEqual(portTexts([port('web', 80), port('Admin', 81), port('WEB', 80), port('', 9)]), [
      'TCP admin=81',
      'TCP web=80',
    ]);
  });
});

describe('matchesName', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['*', 'a.example.com', true],
    ['*.example.com', 'a.example.com', true],
    ['*.example.com', 'example.com', false],
    ['*.example.com', 'b.a.example.com', false],
    ['**.example.com', 'b.a.example.com', true],
    ['**.example.com', 'a.example.com', true],
    ['**.example.com', 'example.com', false],
    ['**.*.com', 'a.b.com', true],
    ['a*z.example.com', 'abcz.example.com', true],
    ['a*z.example.com', 'az.example.com', true],
    ['a*z.example.com', 'abc.example.com', false],
    ['a*b*c.com', 'aXbXbc.com', false],
    ['a*b*c.com', 'axbxbc.com', true],
    ['www.**.com', 'www.a.com', true],
    ['www.**.com', 'www.a.b.com', false],
    ['example.com', 'example.com', true],
    ['*', '', true],
    [`${'a*'.repeat(30)}b`, 'a'.repeat(63), false],
  ];
  for (const [pattern, name, expected] of cases) {
    it(`says ${expected} for ${pattern} and "${name}"`, () => {
      const wanted: NamePattern = { kind: 'pattern', pattern };
      assert.equal(matchesName(wanted, name), expected);
    });
  }
  it('compares a whole name as it is', () => {
    assert.equal(matchesName({ kind: 'name', name: 'a.com' }, 'a.com'), true);
    assert.equal(matchesName({ kind: 'name', name: '*.com' }, 'a.com'), false);
  });
});

describe('createPrefixTree', () => {
  const cidr = (text: string) => {
    const parsed = parseCidr(text);
    assert.ok(parsed.ok, text);
    return parsed.value;
  };
  const TEXTS = ['10.0.0.0/8', '10.1.0.0/16', '10.1.1.0/24', '10.1.1.7/32', '10.2.0.0/16', '192.0.2.0/24'];
  const below = (tree: ReturnType<typeof createPrefixTree>, text: string): string[] =>
    [...tree.below(cidr(text))].map(formatCidr).sort();
  it('knows what lies over and below a prefix, whatever the order', () => {
    for (const texts of [TEXTS, TEXTS.toReversed()]) {
      const tree = createPrefixTree();
      for (const text of texts) assert.equal(tree.add(cidr(text), text), true);
      assert.deepEqual([...tree.marksOver(cidr('10.1.1.7/32'))].sort(), TEXTS.slice(0, 4));
      assert.deepEqual([...tree.marksOver(cidr('10.1.1.8/32'))].sort(), TEXTS.slice(0, 3));
      assert.deepEqual([...tree.marksOver(cidr('11.0.0.0/8'))], []);
      assert.deepEqual(below(tree, '10.1.0.0/16'), TEXTS.slice(1, 4));
      assert.deepEqual(below(tree, '10.0.0.0/7'), TEXTS.slice(0, 5));
      assert.deepEqual(below(tree, '0.0.0.0/0'), TEXTS);
      assert.deepEqual(below(tree, '10.3.0.0/16'), []);
    }
  });
  it('counts marks, and forgets what has none', () => {
    const tree = createPrefixTree();
    assert.equal(tree.add(cidr('10.0.0.0/8'), 'a'), true);
    assert.equal(tree.add(cidr('10.0.0.0/8'), 'a'), false);
    tree.add(cidr('10.1.0.0/16'), 'b');
    tree.add(cidr('10.2.0.0/16'), 'b');
    assert.equal(tree.remove(cidr('10.0.0.0/8'), 'a'), false);
    assert.equal(tree.remove(cidr('10.0.0.0/8'), 'a'), true);
    assert.throws(() => tree.remove(cidr('10.0.0.0/8'), 'a'), /does not have it/);
    assert.throws(() => tree.remove(cidr('10.3.0.0/16'), 'b'), /does not have it/);
    assert.equal(tree.isMarked(cidr('10.0.0.0/8')), false);
    assert.deepEqual([...tree.marksOver(cidr('10.1.2.3/32'))], ['b']);
    tree.remove(cidr('10.1.0.0/16'), 'b');
    assert.deepEqual(below(tree, '0.0.0.0/0'), ['10.2.0.0/16']);
  });
});

describe('createAllocator', () => {
  const range = { name: 'number', min: 10, max: 12 };
  it('gives a key its number again, and others only when nothing else is left', () => {
    const allocator = createAllocator(range, numbers);
    const take = (key: string): unknown => {
      const got = allocator.acquire(key);
      return got.ok ? got.value : got.error;
    };
    assert.deepEqual(['a', 'b', 'a'].map(take), [10, 11, 10]);
    assert.equal(allocator.release('a'), false);
    assert.equal(allocator.release('a'), true);
    assert.equal(take('c'), 12, 'a number that was never used before one that was');
    assert.equal(take('a'), 10);
    allocator.release('b');
    allocator.release('a');
    assert.equal(take('d'), 11, 'the one idle for longest');
    assert.equal(allocator.get('b'), undefined);
    assert.equal(take('a'), 10);
    assert.equal(take('e'), 'Cannot allocate number: all 3 numbers from 10 are in use');
    assert.equal(allocator.used, 3);
    assert.throws(() => allocator.release('nobody'), /not in use/);
  });
  it('tells what has changed since it was last asked', () => {
    const allocator = createAllocator(range, numbers);
    assert.equal(allocator.takeChanges(), undefined);
    for (const key of ['a', 'b', 'c']) allocator.acquire(key);
    assert.deepEqual(allocator.takeChanges(), { next: 13, set: { a: 10, b: 11, c: 12 }, gone: [] });
    allocator.release('a');
    assert.equal(allocator.takeChanges(), undefined, 'it is remembered');
    allocator.acquire('d');
    assert.deepEqual(allocator.takeChanges(), { next: 11, set: { d: 10 }, gone: ['a'] });
  });
  it('remembers over a restart, counts references anew, and refuses a state that cannot be', () => {
    const first = createAllocator(range, numbers);
    first.acquire('a');
    first.acquire('b');
    const second = createAllocator(range, numbers, first.state());
    assert.equal(second.used, 0);
    assert.equal(second.takeChanges(), undefined);
    assert.deepEqual(second.acquire('c'), { ok: true, value: 12 });
    assert.deepEqual(second.acquire('b'), { ok: true, value: 11 });
    for (const state of [{ a: 10, b: 10 }, { a: 9 }, { a: 13 }]) {
      assert.throws(() => createAllocator(range, numbers, { next: 10, numbers: state }), /Cannot restore number/);
    }
  });
});

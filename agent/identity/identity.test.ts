import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createAllocator } from './allocator.ts';
import { identityLabels, isSecurityRelevant, parseIdentityLabel } from './labels.ts';

const numbers = (n: number): number => n;

describe('isSecurityRelevant', () => {
  const cases: readonly (readonly [string, boolean])[] = [
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
  for (const [key, expected] of cases)
    it(`is ${expected} for ${key}`, () => assert.equal(isSecurityRelevant(key), expected));
});

describe('identityLabels', () => {
  it('takes what the platform knows from the platform, not from the pod', () => {
    const labels = identityLabels({
      namespace: 'a',
      labels: { app: 'x', 'io.kubernetes.pod.namespace': 'b', 'io.cilium.k8s.policy.serviceaccount': 'root' },
      namespaceLabels: { team: 't', 'kubernetes.io/metadata.name': 'forged' },
      serviceAccount: 's',
      cluster: 'default',
    });
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
  it('remembers over a restart, counts references anew, and refuses a state that cannot be', () => {
    const first = createAllocator(range, numbers);
    first.acquire('a');
    first.acquire('b');
    const second = createAllocator(range, numbers, first.state());
    assert.equal(second.used, 0);
    assert.deepEqual(second.acquire('c'), { ok: true, value: 12 });
    assert.deepEqual(second.acquire('b'), { ok: true, value: 11 });
    for (const state of [{ a: 10, b: 10 }, { a: 9 }, { a: 13 }]) {
      assert.throws(() => createAllocator(range, numbers, { next: 10, numbers: state }), /Cannot restore number/);
    }
  });
});

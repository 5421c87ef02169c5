import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { identity } from '#common/ids.ts';
import type { Requirement } from '#mesh-config/model.ts';
import { expandPorts, l4Covers, l4Key } from './l4.ts';
import { createSelectorCache } from './selector-cache.ts';

const requirement = (
  key: string,
  operator: Requirement['operator'],
  values: readonly string[] = [],
  source = 'any',
): Requirement => ({
  source,
  key,
  operator,
  values,
});

describe('expandPorts', () => {
  const cases = [
    { from: 80, to: 80, keys: ['80/24'] },
    { from: 0, to: 0, keys: ['0/8'] },
    { from: 1, to: 65535, keys: Array.from({ length: 16 }, (_, i) => `${2 ** i}/${24 - i}`) },
    { from: 80, to: 95, keys: ['80/20'] },
    { from: 79, to: 96, keys: ['79/24', '80/20', '96/24'] },
    { from: 32768, to: 65535, keys: ['32768/9'] },
    { from: 65535, to: 65535, keys: ['65535/24'] },
    { from: 90, to: 80, keys: [] },
  ];
  for (const { from, to, keys } of cases) {
    it(`covers ${from} to ${to} and nothing else`, () => {
      const l4s = expandPorts({ port: from, endPort: to, protocol: 'TCP' });
      assert.deepEqual(
        l4s.map((l4) => `${l4.port}/${l4.bits}`),
        keys,
      );
      for (const port of [1, 79, 80, 81, 90, 95, 96, 97, 32767, 32768, 65535]) {
        const covers = new Set(l4Covers({ protocol: 6, port, bits: 24 }).map(l4Key));
        const expected = from === 0 || (port >= from && port <= to);
        assert.equal(
          l4s.some((l4) => covers.has(l4Key(l4))),
          expected,
          String(port),
        );
      }
    });
  }
  it('makes ANY the three protocols with ports', () => {
    const l4s = expandPorts({ port: 53, endPort: 53, protocol: 'ANY' });
    assert.deepEqual(
      l4s.map((l4) => l4.protocol),
      [6, 17, 132],
    );
  });
});

describe('createSelectorCache', () => {
  const cases = [
    { name: 'everything', requirements: [], members: [1, 300, 301] },
    { name: 'In', requirements: [requirement('app', 'In', ['a', 'z'])], members: [300] },
    { name: 'In nothing', requirements: [requirement('app', 'In', [])], members: [] },
    {
      name: 'NotIn, which holds where the label is missing',
      requirements: [requirement('app', 'NotIn', ['a'])],
      members: [1, 301],
    },
    { name: 'Exists', requirements: [requirement('app', 'Exists')], members: [300, 301] },
    { name: 'DoesNotExist', requirements: [requirement('app', 'DoesNotExist')], members: [1] },
    { name: 'a source', requirements: [requirement('host', 'Exists', [], 'reserved')], members: [1] },
    { name: 'another source', requirements: [requirement('host', 'Exists', [], 'k8s')], members: [] },
    {
      name: 'both of two',
      requirements: [requirement('app', 'Exists'), requirement('app', 'NotIn', ['a'])],
      members: [301],
    },
  ];
  const people: readonly (readonly [number, readonly string[]])[] = [
    [1, ['reserved:host']],
    [300, ['k8s:app=a', 'k8s:io.kubernetes.pod.namespace=default']],
    [301, ['k8s:app=b', 'k8s:io.kubernetes.pod.namespace=default']],
  ];
  for (const { name, requirements, members } of cases) {
    it(`selects by ${name}, whichever came first`, () => {
      const heard: string[] = [];
      const cache = createSelectorCache((selector, id) => heard.push(`${selector.members.has(id) ? '+' : '-'}${id}`));
      const early = cache.acquire({ requirements });
      for (const [id, labels] of people) cache.addIdentity(identity(id), labels);
      assert.deepEqual([...early.members], members);
      assert.deepEqual(
        heard,
        members.map((id) => `+${id}`),
      );
      assert.equal(cache.acquire({ requirements: [...requirements].reverse() }), early, 'equal selectors are one');
      cache.release(early);
      cache.release(early);
      assert.ok([...cache.selectorsOf(identity(300))].length === 0, 'nobody refers to it');
      const late = cache.acquire({ requirements });
      assert.deepEqual([...late.members], members);
      for (const [id] of people) cache.removeIdentity(identity(id));
      assert.deepEqual([...late.members], []);
      assert.throws(() => cache.release(early) ?? cache.release(early), /not in use/);
    });
  }
});

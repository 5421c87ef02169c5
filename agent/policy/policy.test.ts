import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cookie, identity } from '#common/ids.ts';
import { createTable } from '#common/table.ts';
import type { Requirement } from '#mesh-config/model.ts';
import { createAllocator } from '../identity/allocator.ts';
import type { CookieRow } from '../tables.ts';
import { createCookies } from './cookies.ts';
import { expandSpan, l4Covers, l4Key, portSpans } from './l4.ts';
import { createPortNames, portLabels } from './named-ports.ts';
import { createSelectorCache } from './selector-cache.ts';
import { createTemplateDiffs, createTemplateStore, type Templates } from './templates.ts';

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

describe('expandSpan', () => {
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
      const l4s = expandSpan({ protocol: 6, port: from, endPort: to });
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
    const spans = portSpans({ port: 53, endPort: 53, protocol: 'ANY' });
    assert.deepEqual(
      spans.map((span) => span.protocol),
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
      name: 'a source that only compute gives',
      requirements: [requirement('zone', 'Exists', [], 'node')],
      members: [1],
    },
    { name: 'any source, which is none of those', requirements: [requirement('zone', 'Exists')], members: [] },
    {
      name: 'both of two',
      requirements: [requirement('app', 'Exists'), requirement('app', 'NotIn', ['a'])],
      members: [301],
    },
  ];
  const people: readonly (readonly [number, readonly string[]])[] = [
    [1, ['node:zone=z', 'reserved:host']],
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
      assert.equal(early.sorted(), early.sorted());
      cache.release(early);
      cache.release(early);
      assert.equal([...cache.selectorsOf(identity(300))].length, 0, 'nobody refers to it');
      const late = cache.acquire({ requirements });
      assert.deepEqual(late.sorted(), members);
      for (const [id] of people) cache.removeIdentity(identity(id));
      assert.deepEqual(late.sorted(), []);
      assert.throws(() => cache.release(early) ?? cache.release(early), /not in use/);
    });
  }
  it('refuses an identity that it knows', () => {
    const cache = createSelectorCache(() => {});
    cache.addIdentity(identity(300), ['k8s:app=a']);
    assert.throws(() => cache.addIdentity(identity(300), []), /already known/);
  });
});

describe('createPortNames', () => {
  it('counts who has a number under a name, and keeps ambiguous ones apart', () => {
    const changed: string[] = [];
    const names = createPortNames((name) => changed.push(name));
    names.count(['TCP http=80'], 1);
    names.count(['TCP http=80'], 1);
    names.count(['TCP http=80', 'TCP http=81', 'UDP http=80'], 1);
    assert.deepEqual(names.numbers('TCP http'), [
      { port: 80, ambiguous: false },
      { port: 80, ambiguous: true },
      { port: 81, ambiguous: true },
    ]);
    names.count(['TCP http=80'], -1);
    assert.deepEqual(changed, ['TCP http', 'TCP http', 'TCP http', 'UDP http']);
    names.count(['TCP http=80'], -1);
    assert.equal(changed.length, 5);
    assert.deepEqual(names.numbers('SCTP http'), []);
    assert.deepEqual(portLabels(['TCP a=1', 'TCP b=1', 'TCP b=2']), [
      'port:TCP a=1',
      'port:TCP b ?=1',
      'port:TCP b ?=2',
    ]);
  });
});

describe('createCookies', () => {
  const origin = (policy: string, line: number) => ({ policy, file: 'f.yaml', line, field: 'spec.ingress[0]' });
  it('keeps the cookie of a rule that moved within its file, and says where it is now', () => {
    const table = createTable<CookieRow>('cookies');
    const cookies = createCookies(table, createAllocator({ name: 'cookie', min: 1, max: 9 }, cookie));
    const first = cookies.acquire([origin('a', 3), origin('b', 4)]);
    assert.equal(cookies.acquire([origin('a', 7), origin('b', 4)]), first);
    assert.deepEqual(table.get(String(first))?.policies, ['a', 'b']);
    assert.equal(table.get(String(first))?.rules[0]?.line, 7);
    assert.notEqual(cookies.acquire([origin('a', 7)]), first);
    assert.equal(cookies.acquire([]), 0);
    const many = Array.from({ length: 50 }, (_, i) => origin(`policy-${i}`, i));
    assert.equal(cookies.acquire(many), cookies.acquire(many));
    cookies.release([origin('a', 1), origin('b', 1)]);
    assert.ok(table.get(String(first)));
    cookies.release([origin('a', 1), origin('b', 1)]);
    assert.equal(table.get(String(first)), undefined);
  });
});

describe('createTemplateStore', () => {
  const held: number[] = [];
  const store = createTemplateStore({
    acquire: (origins) => cookie(held.push(origins.length)),
    release: () => void held.pop(),
  });
  const draft = (port: number, kind: 'allow' | 'deny') => ({ l4: { protocol: 6, port, bits: 24 }, kind, origins: [] });
  const stored = createTemplateStore({ acquire: () => cookie(1), release: () => {} });
  it('gives equal lists once, and refuses to release one that is not held', () => {
    const a = stored.acquire([draft(80, 'allow'), draft(81, 'deny')]);
    assert.equal(stored.acquire([draft(80, 'allow'), draft(81, 'deny')]), a);
    stored.release(a);
    stored.release(a);
    assert.throws(() => stored.release(a), /not held/);
    const once = store.acquire([draft(80, 'allow')]);
    store.release(once);
    assert.equal(held.length, 0);
  });
  it('tells what to write and what to remove', () => {
    const diff = createTemplateDiffs();
    const before = stored.acquire([draft(80, 'allow'), draft(81, 'allow'), draft(82, 'allow')]);
    const after = stored.acquire([draft(80, 'allow'), draft(81, 'deny'), draft(83, 'allow')]);
    const ports = (templates: Templates): number[] => templates.map(({ l4 }) => l4.port);
    assert.deepEqual(ports(diff(before, after).set), [81, 83]);
    assert.deepEqual(ports(diff(before, after).remove), [82]);
    assert.equal(diff(before, after), diff(before, after));
    assert.deepEqual(ports(diff([], after).set), [80, 81, 83]);
  });
});

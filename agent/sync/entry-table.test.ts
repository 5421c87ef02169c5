import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { identity } from '#common/ids.ts';
import { L4_ALL } from '../policy/l4.ts';
import { createEntryTable, createSharedPeerTables } from './entry-table.ts';
import type { Entry } from './verdict.ts';

const [A, B] = [identity(300), identity(301)];
const HTTP = { protocol: 6, port: 80, bits: 24 };
const entry = (change: Partial<Entry> = {}): Entry => ({
  l4: L4_ALL,
  l4Bits: 0,
  action: 'allow',
  precedence: 1,
  ruleset: 0,
  cookie: 7,
  ...change,
});

describe('createEntryTable', () => {
  it('keeps equal entries of peers and of tables once, whatever the order they came in', () => {
    const shared = createSharedPeerTables();
    const [one, other] = [createEntryTable(shared), createEntryTable(shared)];
    const more = entry({ l4: HTTP, l4Bits: 24, action: 'deny' });
    assert.deepEqual([one.put(A, entry()), one.put(A, more), one.put(A, entry())], [1, 1, 0]);
    assert.deepEqual([other.put(B, more), other.put(B, entry())], [1, 1]);
    assert.equal(one.get(A), other.get(B));
    assert.equal(shared.size, 1);
  });

  for (const [what, change] of Object.entries({
    key: { l4: HTTP },
    l4Bits: { l4Bits: 8 },
    action: { action: 'audit' },
    precedence: { precedence: 2 },
    ruleset: { ruleset: 1 },
    cookie: { cookie: 8 },
  } satisfies Record<string, Partial<Entry>>)) {
    it(`keeps entries apart that differ in their ${what}`, () => {
      const table = createEntryTable(createSharedPeerTables());
      table.put(A, entry());
      table.put(B, entry(change));
      assert.notEqual(table.get(A), table.get(B));
    });
  }

  it('changes one peer and not those that had the same entries, and forgets what nobody has', () => {
    const shared = createSharedPeerTables();
    const table = createEntryTable(shared);
    table.put(A, entry());
    table.put(B, entry());
    const before = table.get(B);
    table.put(A, entry({ action: 'deny' }));
    assert.equal(table.get(B), before);
    assert.equal([...(before?.values() ?? [])][0]?.action, 'allow');
    assert.equal(shared.size, 2);
    assert.deepEqual(
      [table.take(A, HTTP), table.take(A, L4_ALL), table.take(A, L4_ALL), table.take(B, L4_ALL)],
      [0, 1, 0, 1],
    );
    assert.deepEqual([table.size, shared.size], [0, 0]);
  });
});

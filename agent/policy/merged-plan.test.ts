// Two plans together say what one plan of all their items says, whatever has changed in which of them.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cookie, type PeerSetId, peerSetId } from '#common/ids.ts';
import { random } from '../compute/random.fixture.ts';
import type { RuleOrigin } from '../tables.ts';
import { type L4, L4_ALL } from './l4.ts';
import { mergePlans } from './merged-plan.ts';
import { createPlan, type PlanContext, type PlanView } from './plan.ts';
import type { Item } from './rules.ts';
import type { CachedSelector } from './selector-cache.ts';
import { createTemplateStore, type Templates } from './templates.ts';

const L4S: readonly L4[] = [
  L4_ALL,
  { protocol: 6, port: 0, bits: 8 },
  { protocol: 6, port: 80, bits: 24 },
  { protocol: 6, port: 80, bits: 20 },
];
const SELECTORS = [1, 2, 3].map((id) => ({ id, key: String(id), members: new Set() }) as unknown as CachedSelector);

/** `hasCookies`: there is a number for every list of rules; else there is none for any. */
function rig(hasCookies: boolean) {
  const held = new Map<string, number>();
  const keyOf = (origins: readonly RuleOrigin[]): string => origins.map(({ field }) => field).join();
  const cookies = {
    acquire(origins: readonly RuleOrigin[]) {
      held.set(keyOf(origins), (held.get(keyOf(origins)) ?? 0) + 1);
      return cookie(
        hasCookies ? [...keyOf(origins)].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) % 1_000_003, 1) : 0,
      );
    },
    release: (origins: readonly RuleOrigin[]) => void held.set(keyOf(origins), (held.get(keyOf(origins)) ?? 0) - 1),
  };
  const context: PlanContext = {
    sets: {
      acquire: (selectors) => ({ id: peerSetId(selectors[0]?.id ?? 0), selectors }),
      release: () => {},
    },
    store: createTemplateStore(cookies),
    ofItem: new WeakMap(),
    unnumbered: { count: 0 },
    onSelectors: () => {},
  };
  let next = 1;
  return {
    context,
    item(peers: 'any' | number, kind: 'allow' | 'deny', l4: L4 = L4_ALL): Item {
      const id = next++;
      const origin = { policy: 'p', file: 'f', line: 1, field: String(id) };
      const selectors = peers === 'any' ? peers : [SELECTORS[peers] as CachedSelector];
      return { id, peers: selectors, parts: [{ l4, span: -1, kind, l7: undefined }], wantsProxy: false, origin };
    },
    /** How many references on cookies are left. */
    held: () => held.values().reduce((sum, count) => sum + count, 0),
  };
}

const text = (entries: Templates): string =>
  entries
    .map((t) => `${t.suffix} ${t.kind} ${t.cookie}`)
    .sort()
    .join();

function said(plan: PlanView): ReadonlyMap<PeerSetId, string> {
  const all = Array.from(plan.entries(), ([peers, entries]) => [peers, text(entries)] as const);
  return new Map(all.filter(([, entries]) => entries !== '').sort(([a], [b]) => a - b));
}

describe('mergePlans', () => {
  for (const hasCookies of [true, false]) {
    it(`says what one plan says, ${hasCookies ? 'with' : 'without'} cookies`, () => {
      const pick = random(hasCookies ? 1 : 2);
      const { context, item } = rig(hasCookies);
      const layers = [createPlan([], context), createPlan([], context)] as const;
      const items: readonly Item[][] = [[], []];
      const merged = mergePlans(layers, context.store);
      const rows = new Map<PeerSetId, string>(); // what a subject has that follows the changes
      for (let step = 0; step < 3_000; step++) {
        const changed = ([0, 1] as const).filter(() => pick(3) > 0);
        const changes = changed.map((layer) => {
          const own = items[layer] as Item[];
          const removed = own.filter(() => pick(4) === 0);
          const added = Array.from({ length: pick(3) }, () => {
            const peers = pick(3) === 0 ? 'any' : pick(3);
            return item(peers, pick(3) === 0 ? 'deny' : 'allow', L4S[pick(L4S.length)]);
          });
          own.splice(0, own.length, ...own.filter((one) => !removed.includes(one)), ...added);
          return [layer, layers[layer].change(added, removed)] as const;
        });
        for (const [layer, change] of changes) {
          for (const { peers, before, after } of merged.carry(layer, change).entries) {
            assert.equal(rows.get(peers) ?? '', text(before));
            if (after.length > 0) rows.set(peers, text(after));
            else rows.delete(peers);
          }
        }
        const whole = createPlan(items.flat(), context);
        const expected = said(whole);
        assert.deepEqual(said(merged), expected, `step ${step}`);
        assert.deepEqual(new Map([...rows].sort(([a], [b]) => a - b)), expected, `step ${step}`);
        assert.deepEqual(said(mergePlans(layers, context.store)), expected, `step ${step}, merged anew`);
        assert.equal(
          merged.entryCount,
          [...whole.entries()].reduce((sum, [, list]) => sum + list.length, 0),
        );
        whole.dispose();
      }
      assert.ok(rows.size > 0);
    });
  }
  it('gives back what it held', () => {
    const { context, item, held } = rig(true);
    const layers = [createPlan([item(1, 'allow')], context), createPlan([item(1, 'deny', L4S[2])], context)] as const;
    const before = held();
    const merged = mergePlans(layers, context.store);
    assert.ok(held() > before);
    merged.carry(1, layers[1].change([item(1, 'allow', L4S[1])], []));
    merged.dispose();
    for (const layer of layers) layer.dispose();
    assert.equal(held(), 0);
  });
  it('denies what one plan denies, also where the other has the same entry', () => {
    const { context, item } = rig(false);
    const deny = item(1, 'deny');
    const layers = [createPlan([deny], context), createPlan([item(1, 'deny')], context)] as const;
    const merged = mergePlans(layers, context.store);
    merged.carry(0, layers[0].change([], [deny]));
    assert.deepEqual(
      [...merged.entries()].flatMap(([, list]) => list.map(({ kind }) => kind)),
      ['deny'],
    );
  });
});

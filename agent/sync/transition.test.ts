import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Identity, identity } from '#common/ids.ts';
import { expandPorts, IP_PROTOCOL, type L4, L4_ALL, l4Key } from '../policy/l4.ts';
import { createPlan } from '../policy/plan.ts';
import { PRECEDENCE } from '../policy/precedence.ts';
import type { Contribution } from '../policy/rules.ts';
import type { CachedSelector } from '../policy/selector-cache.ts';
import { planTransition, type Transition, type Write } from './transition.ts';
import { decide, decidesLike, type Entry, NO_ENTRIES, type PeerTable, wideness } from './verdict.ts';

const PEERS = [300, 301, 302, 303].map(identity);
const STRANGER = identity(999); // a peer without entries of its own
const ANY = identity(0);
type Table = Map<Identity, Map<number, Entry>>;

const SELECTORS: readonly CachedSelector[] = [[0], [1], [0, 1], [2, 3]].map((members, id) => ({
  id,
  key: String(id),
  selector: { requirements: [] },
  members: new Set(members.map((m) => PEERS[m] as Identity)),
}));
const port = (from: number, to: number): readonly L4[] => expandPorts({ port: from, endPort: to, protocol: 'TCP' });
const PORTS: readonly (readonly L4[])[] = [
  [L4_ALL],
  port(0, 0),
  port(80, 80),
  port(81, 81),
  port(80, 95),
  port(64, 90),
];
const PROBES: readonly L4[] = [
  ...[1, 64, 79, 80, 81, 85, 88, 90, 91, 95, 96].map((p) => ({ protocol: IP_PROTOCOL.TCP, port: p, bits: 24 })),
  { protocol: IP_PROTOCOL.UDP, port: 80, bits: 24 },
];

// Seeded, so that a failure can be repeated (mulberry32).
function random(seed: number): (below: number) => number {
  let a = seed;
  return (below) => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  };
}

function randomRules(pick: (below: number) => number): readonly Contribution[] {
  return Array.from({ length: pick(6) }, () => {
    const kind = (['allow', 'allow', 'redirect', 'redirect', 'deny'] as const)[pick(5)] ?? 'deny';
    const peer = pick(3) === 0 ? ('any' as const) : (SELECTORS[pick(SELECTORS.length)] as CachedSelector);
    const ports = kind === 'redirect' ? (PORTS[2 + pick(4)] as readonly L4[]) : (PORTS[pick(6)] as readonly L4[]);
    return ports.map((l4) => ({ peer, l4, kind, http: [], policy: `p${pick(3)}` }));
  }).flat();
}

function tableOf(rules: readonly Contribution[]): Table {
  const plan = createPlan(rules);
  const table: Table = new Map();
  for (const peer of [...PEERS, ANY]) {
    const selected = SELECTORS.filter((s) => plan.selectors.has(s) && s.members.has(peer));
    const templates = peer === ANY ? plan.templates('any') : selected.length > 0 ? plan.templates(selected) : [];
    const entries = templates.map(({ l4, kind, policies }): [number, Entry] => [
      l4Key(l4),
      {
        l4,
        l4Bits: l4.bits,
        action: kind,
        precedence: PRECEDENCE[kind],
        ruleset: kind === 'redirect' ? l4Key(l4) : 0,
        cookie: policies.length,
      },
    ]);
    if (entries.length > 0) table.set(peer, new Map(entries));
  }
  return table;
}

function write(table: Table, { peer, l4, entry }: Write): void {
  const entries = table.get(peer) ?? new Map<number, Entry>();
  if (entry) entries.set(l4Key(l4), entry);
  else entries.delete(l4Key(l4));
  if (entries.size > 0) table.set(peer, entries);
  else table.delete(peer);
}

const copy = (table: Table): Table => new Map([...table].map(([peer, entries]) => [peer, new Map(entries)]));
const ofPeer = (table: Table, peer: Identity): PeerTable => table.get(peer) ?? NO_ENTRIES;
const say = (entry: Entry | undefined): string => (entry ? `${entry.action} ${entry.ruleset}` : 'nothing');
const verdict = (table: Table, peer: Identity, l4: L4): Entry | undefined =>
  decide(ofPeer(table, peer), ofPeer(table, ANY), l4);

interface Check {
  readonly before: Table;
  readonly after: Table;
  readonly now: Table;
  readonly bound: Table;
  readonly where: string;
  readonly blocked: boolean;
}

function check({ before, after, now, bound, where, blocked }: Check): void {
  for (const peer of [...PEERS, STRANGER]) {
    for (const l4 of PROBES) {
      const [old, next, is] = [before, after, now].map((table) => verdict(table, peer, l4));
      const text = `${where}: peer ${peer} port ${l4.port}/${l4.protocol}: ${say(old)} -> ${say(next)}, is ${say(is)}`;
      assert.ok(wideness(is) <= wideness(verdict(bound, peer, l4)), `wider: ${text}`);
      if (!blocked) assert.ok(decidesLike(is, old) || decidesLike(is, next), `neither old nor new: ${text}`);
    }
  }
}

function run(before: Table, after: Table, options: { plan: Transition; where: string; blocked: boolean }): number {
  const now = copy(before);
  const { plan, where, blocked } = options;
  for (const [i, w] of plan.tighten.entries()) {
    write(now, w);
    check({ before, after, now, bound: before, where: `${where} tighten ${i}`, blocked });
  }
  if (!blocked) check({ before, after, now, bound: after, where: `${where} middle`, blocked });
  for (const [i, w] of plan.loosen.entries()) {
    write(now, w);
    check({ before, after, now, bound: after, where: `${where} loosen ${i}`, blocked });
  }
  assert.deepEqual(now, after, `${where}: did not arrive`);
  return plan.tighten.length + plan.loosen.length;
}

describe('planTransition', () => {
  it('never lets more pass than old or new, and never refuses what both let pass, at every write', () => {
    let writes = 0;
    for (let seed = 1; seed <= 3000; seed++) {
      const pick = random(seed);
      const rules = randomRules(pick);
      // Half of the steps change a little, half everything.
      const next = pick(2) === 0 ? [...rules.slice(pick(3)), ...randomRules(pick).slice(0, 2)] : randomRules(pick);
      const [before, after] = [tableOf(rules), tableOf(next)];
      const plan = planTransition(before, after, { peers: [...PEERS, ANY], room: 65536 });
      writes += run(before, after, { plan, where: `seed ${seed}`, blocked: false });
    }
    assert.ok(writes > 10_000, 'the test did not do much');
  });

  it('blocks the subject when there is no room to isolate, and lets nothing more pass then either', () => {
    let blocked = 0;
    for (let seed = 1; seed <= 500; seed++) {
      const pick = random(seed);
      const [before, after] = [tableOf(randomRules(pick)), tableOf(randomRules(pick))];
      const plan = planTransition(before, after, { peers: [...PEERS, ANY], room: 0 });
      if (plan.tighten[0]?.entry?.precedence === 0xffff_ffff && plan.tighten[0].peer === ANY) blocked++;
      run(before, after, { plan, where: `seed ${seed}`, blocked: true });
    }
    assert.ok(blocked > 50, 'the test did not block');
  });

  it('goes on from what a dead agent left half-written', () => {
    for (let seed = 1; seed <= 1000; seed++) {
      const pick = random(seed);
      const [first, second, third] = [randomRules(pick), randomRules(pick), randomRules(pick)].map(tableOf) as [
        Table,
        Table,
        Table,
      ];
      const all = { peers: [...PEERS, ANY], room: 65536 };
      const dead = planTransition(first, second, all);
      const writes = [...dead.tighten, ...dead.loosen];
      const left = copy(first);
      for (const w of writes.slice(0, pick(writes.length + 1))) write(left, w);
      run(left, third, { plan: planTransition(left, third, all), where: `seed ${seed}`, blocked: false });
    }
  });

  const entry = (l4: L4, action: Entry['action']): [number, Entry] => [
    l4Key(l4),
    { l4, l4Bits: l4.bits, action, precedence: PRECEDENCE[action], ruleset: action === 'redirect' ? 1 : 0, cookie: 0 },
  ];
  const web: L4 = { protocol: 6, port: 80, bits: 24 };
  const table = (peers: Readonly<Record<number, readonly [number, Entry][]>>): Table =>
    new Map(Object.entries(peers).map(([peer, entries]) => [identity(Number(peer)), new Map(entries)]));
  const cases = [
    { name: 'a new peer', before: table({}), after: table({ 300: [entry(web, 'allow')] }), tighten: 0, loosen: 1 },
    {
      name: 'a peer that goes',
      before: table({ 300: [entry(web, 'allow')] }),
      after: table({}),
      tighten: 1,
      loosen: 0,
    },
    {
      name: 'allow to redirect',
      before: table({ 300: [entry(web, 'allow')] }),
      after: table({ 300: [entry(web, 'redirect')] }),
      tighten: 1,
      loosen: 0,
    },
    {
      name: 'the first policy of a pod',
      before: table({ 0: [entry(L4_ALL, 'allow')] }),
      after: table({ 300: [entry(web, 'allow')] }),
      tighten: 3,
      loosen: 2,
    },
    {
      name: 'nothing',
      before: table({ 0: [entry(web, 'deny')] }),
      after: table({ 0: [entry(web, 'deny')] }),
      tighten: 0,
      loosen: 0,
    },
  ];
  for (const { name, before, after, tighten, loosen } of cases) {
    it(`needs few writes for ${name}`, () => {
      const plan = planTransition(before, after, { peers: PEERS.concat(ANY), room: 100 });
      assert.equal(plan.tighten.length, tighten);
      assert.equal(plan.loosen.length, loosen);
    });
  }
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Identity, identity } from '#common/ids.ts';
import { type L4, L4_ALL, l4Key } from '../policy/l4.ts';
import { PRECEDENCE } from '../policy/precedence.ts';
import {
  ANY_PEER,
  copyTable,
  PEERS,
  PROBES,
  random,
  randomStatements,
  type Table,
  tableOf,
  write,
} from './random-tables.fixture.ts';
import { planTransition, type Transition } from './transition.ts';
import { decide, decidesLike, type Entry, isNarrower, NO_ENTRIES, type PeerTable, wideness } from './verdict.ts';

const STRANGER = identity(999); // a peer without entries of its own
const EVERYONE = [...PEERS, ANY_PEER];
const BLOCKED = 0xffff_ffff;

const ofPeer = (table: Table, peer: Identity): PeerTable => table.get(peer) ?? NO_ENTRIES;
const say = (entry: Entry | undefined): string => (entry ? `${entry.action} ${entry.ruleset}` : 'nothing');
const verdict = (table: Table, peer: Identity, l4: L4): Entry | undefined =>
  decide(ofPeer(table, peer), ofPeer(table, ANY_PEER), l4);

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
  const now = copyTable(before);
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
    for (let seed = 1; seed <= 2000; seed++) {
      const pick = random(seed);
      const rules = randomStatements(pick);
      // Half of the steps change a little, half everything.
      const next =
        pick(2) === 0 ? [...rules.slice(pick(3)), ...randomStatements(pick).slice(0, 2)] : randomStatements(pick);
      const [before, after] = [tableOf(rules), tableOf(next)];
      const plan = planTransition(before, after, { peers: EVERYONE, room: 65536 });
      writes += run(before, after, { plan, where: `seed ${seed}`, blocked: false });
    }
    assert.ok(writes > 10_000, 'the test did not do much');
  });

  it('takes two writes for a peer whose rule moves to another port', () => {
    const [peer = ANY_PEER] = PEERS;
    const tableAt = (port: number): Table => {
      const l4 = { protocol: 6, port, bits: 24 };
      const entry: Entry = { l4, l4Bits: 24, action: 'allow', precedence: PRECEDENCE.allow, ruleset: 0, cookie: 1 };
      return new Map([[peer, new Map([[l4Key(l4), entry]])]]);
    };
    const plan = planTransition(tableAt(80), tableAt(81), { peers: EVERYONE, room: 65536 });
    const ports = (writes: Transition['tighten']) => writes.map(({ l4, entry }) => [l4.port, entry?.action]);
    assert.deepEqual([ports(plan.tighten), ports(plan.loosen)], [[[80, undefined]], [[81, 'allow']]]);
  });

  for (const room of [0, 1]) {
    it(`blocks the subject when there is room for ${room} entries, and lets nothing more pass then either`, () => {
      let blocked = 0;
      for (let seed = 1; seed <= 500; seed++) {
        const pick = random(seed);
        const [before, after] = [tableOf(randomStatements(pick)), tableOf(randomStatements(pick))];
        const plan = planTransition(before, after, { peers: EVERYONE, room });
        if (plan.tighten[0]?.entry?.precedence === BLOCKED && plan.tighten[0].entry.action === 'deny') blocked++;
        let size = [...before.values()].reduce((sum, entries) => sum + entries.size, 0);
        const most = size + room;
        const now = copyTable(before);
        for (const w of plan.tighten) {
          write(now, w);
          size = [...now.values()].reduce((sum, entries) => sum + entries.size, 0);
          assert.ok(size <= most, `seed ${seed}: ${size} entries, room for ${most}`);
        }
        run(before, after, { plan, where: `seed ${seed}`, blocked: true });
      }
      assert.ok(blocked > 50, 'the test did not block');
    });
  }

  it('goes on from what a dead agent left half-written', () => {
    for (let seed = 1; seed <= 700; seed++) {
      const pick = random(seed);
      const tables = [0, 1, 2].map(() => tableOf(randomStatements(pick))) as [Table, Table, Table];
      const [first, second, third] = tables;
      const all = { peers: EVERYONE, room: 65536 };
      const dead = planTransition(first, second, all);
      const writes = [...dead.tighten, ...dead.loosen];
      const left = copyTable(first);
      for (const w of writes.slice(0, pick(writes.length + 1))) write(left, w);
      run(left, third, { plan: planTransition(left, third, all), where: `seed ${seed}`, blocked: false });
    }
  });

  // Peer 303 goes, peer 302 comes: an address that changes from the one to the other between the stages has 303's rights
  // of old and 302's of new, and no others.
  it('gives a fresh identity its rights in stage one, and leaves a leaving one its own until stage two', () => {
    const [, , fresh, leaving] = PEERS as [Identity, Identity, Identity, Identity];
    for (let seed = 1; seed <= 1500; seed++) {
      const pick = random(seed);
      const but = (without: Identity) => (peer: Identity) => peer !== without;
      const groups = (without: Identity) =>
        [[0], [1, 2], [2, 3], [2], [3]].map((g) => g.map((m) => PEERS[m] as Identity).filter(but(without)));
      const before = tableOf(randomStatements(pick, groups(fresh)));
      const after = tableOf(randomStatements(pick, groups(leaving)));
      const plan = planTransition(before, after, {
        peers: EVERYONE,
        room: 65536,
        isFresh: (peer) => peer === fresh,
        isLeaving: (peer) => peer === leaving,
      });
      const now = copyTable(before);
      const same = (who: Identity, bound: Table, where: string): void => {
        for (const l4 of PROBES) {
          const [is, should] = [verdict(now, who, l4), verdict(bound, who, l4)];
          const text = `seed ${seed} ${where}: peer ${who} port ${l4.port}/${l4.protocol}: ${say(is)}, not ${say(should)}`;
          assert.ok(decidesLike(is, should), text);
        }
      };
      for (const w of plan.tighten) {
        write(now, w);
        same(leaving, before, 'stage one');
      }
      same(fresh, after, 'middle');
      for (const w of plan.loosen) {
        write(now, w);
        same(fresh, after, 'stage two');
      }
      assert.deepEqual(now, after);
    }
  });

  const entry = (l4: L4, action: 'allow' | 'deny' | 'redirect'): [number, Entry] => [
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
      const plan = planTransition(before, after, { peers: PEERS.concat(ANY_PEER), room: 100 });
      assert.equal(plan.tighten.length, tighten);
      assert.equal(plan.loosen.length, loosen);
    });
  }
});

describe('isNarrower', () => {
  const entry = (action: Entry['action'], ruleset = 0): Entry => ({
    l4: L4_ALL,
    l4Bits: 0,
    action,
    precedence: 1,
    ruleset,
    cookie: 0,
  });
  const cases = [
    { a: undefined, b: entry('deny'), is: true },
    { a: entry('allow'), b: undefined, is: false },
    { a: entry('redirect', 1), b: entry('allow'), is: true },
    { a: entry('redirect', 1), b: entry('redirect', 1), is: true },
    { a: entry('redirect', 1), b: entry('redirect', 2), is: false },
    { a: entry('audit'), b: entry('allow'), is: true },
    { a: entry('audit'), b: entry('redirect', 1), is: false },
  ];
  for (const { a, b, is } of cases) {
    it(`says ${is} of ${say(a)} and ${say(b)}`, () => assert.equal(isNarrower(a, b), is));
  }
});

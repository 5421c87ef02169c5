// After any edits, what compute reached step by step is what it reaches from nothing, and the entries decide every
// packet as the rules do when they are read one by one.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type Identity, type PeerSetId, RESERVED } from '#common/ids.ts';
import { type Address, covers, familyOf } from '#common/ip.ts';
import { IP_PROTOCOL } from '../policy/l4.ts';
import { readRuleset } from '../policy/reading.ts';
import type { L7RuleLists } from '../ruleset-rows.ts';
import { HOST_ENDPOINT } from '../tables.ts';
import { type OracleFlow, type Party, type Reading, readRules } from './oracle.fixture.ts';
import { type Pick, random } from './random.fixture.ts';
import { ADDRESSES, editWorld } from './random-world.fixture.ts';
import { createScene, resolverEndpoint, type Scene, verdictOf } from './scene.fixture.ts';

const EDITS = Number(process.env.EDITS ?? 10_000);
const SEED = Number(process.env.SEED ?? 1);
const EDITS_PER_STEP = 3;
const COMPARE_EVERY = 5; // steps
const RESTART_EVERY = 500; // steps
const FLOWS = 40;

// Rows with what their numbers stand for instead of the numbers.
function rowsOf(scene: Scene): readonly string[] {
  const { policy, peerSets, rulesets, cookies, identities, addresses, enforcement } = scene.tables.desired;
  const name = (id: Identity): string => {
    const row = identities.get(String(id));
    return id === RESERVED.any ? 'any' : row ? [...row.labels, ...row.namedPorts].join() : `unknown ${id}`;
  };
  const peers = (list: 'any' | readonly Identity[]): unknown => (list === 'any' ? list : list.map(name).sort());
  const members = new Map<PeerSetId, string[]>();
  for (const { identity, sets } of peerSets.values()) {
    for (const set of sets) members.set(set, [...(members.get(set) ?? []), name(identity)].sort());
  }
  const contents = new Map(
    [...rulesets.entries()].map(([id, row]) => {
      const rules = row.rules.map((r) => ({ ...r, peers: peers(r.peers) }));
      return [id, [name(row.subject), row.direction, row.port, rules]];
    }),
  );
  const entries = [...policy.entries()].map(([key, row]) => {
    assert.equal(key, `${row.subject} ${row.direction} ${row.peers} ${row.protocol} ${row.port} ${row.l4Bits}`);
    const { subject, peers: set, cookie, ruleset, ...rest } = row;
    const origin = cookies.get(String(cookie));
    assert.equal(cookie === 0, origin === undefined);
    return ['entry', name(subject), members.get(set) ?? [], origin?.rules ?? [], contents.get(String(ruleset)), rest];
  });
  return [
    ...entries,
    ...[...identities.values()].map((row) => ['identity', row.labels, row.namedPorts]),
    ...[...peerSets.values()].map((row) => ['known', name(row.identity)]),
    ...[...addresses.entries()].map(([key, row]) => ['address', key, name(row.identity), row.flags]),
    ...[...enforcement.values()].map((row) => ({ ...row, identity: name(row.identity) })),
  ]
    .map((row) => JSON.stringify(row))
    .sort();
}

function parties(scene: Scene): { readonly subjects: readonly Party[]; readonly peers: readonly Party[] } {
  const { endpoints, remotePods, nodes } = scene.tables.inputs;
  const local = [...endpoints.values()].filter((row) => row.device).map((row): Party => ({ kind: 'pod', row }));
  const remote = [...remotePods.values()].map((row): Party => ({ kind: 'pod', row }));
  const ofNodes = new Set([...nodes.values()].flatMap((row) => row.addresses));
  const world = ADDRESSES.filter((ip) => !ofNodes.has(ip));
  const others = [...nodes.entries()].map(([name]): Party => ({ kind: 'node', name }));
  const host: Party[] = [...nodes.values()].some((row) => row.local) ? [{ kind: 'node', name: 'n0' }] : [];
  return {
    subjects: [...local, ...host],
    peers: [...local, ...remote, ...others, ...world.map((ip): Party => ({ kind: 'address', address: ip }))],
  };
}

/** Whose an address is: the longest prefix, or the world. */
function identityAt(scene: Scene, ip: Address): Identity {
  let best: { readonly bits: number; readonly identity: Identity } | undefined;
  for (const { cidr, identity } of scene.tables.desired.addresses.values()) {
    if (covers(cidr, { address: ip, bits: 128 }) && (!best || cidr.bits > best.bits))
      best = { bits: cidr.bits, identity };
  }
  return best?.identity ?? (familyOf(ip) === 4 ? RESERVED.worldIpv4 : RESERVED.worldIpv6);
}

function identityOf(scene: Scene, party: Party): Identity {
  switch (party.kind) {
    case 'address':
      return identityAt(scene, party.address);
    case 'node':
      return identityAt(scene, scene.tables.inputs.nodes.get(party.name)?.addresses[0] as Address);
    case 'pod':
      return identityAt(scene, party.row.ip4 as Address);
  }
}

function compute(scene: Scene, flow: OracleFlow): Reading {
  const { rulesets, enforcement } = scene.tables.desired;
  const { direction, port } = flow;
  const [subject, peer] = [identityOf(scene, flow.subject), identityOf(scene, flow.peer)];
  const row = [...enforcement.values()].find((e) =>
    flow.subject.kind === 'node' ? e.endpoint === HOST_ENDPOINT : e.identity === subject,
  );
  const none = { parser: undefined, wildcard: false, rules: [], denied: [] };
  if (!row) return { action: 'allow', enforced: false, ...none };
  const l4 = { protocol: IP_PROTOCOL[flow.protocol], port, bits: 24 };
  const { action, ruleset } = verdictOf(scene.tables.desired, { subject, peer, direction, l4 });
  const verdict = { action, enforced: row[direction] };
  if (action !== 'redirect') return { ...verdict, ...none };
  const reading = readRuleset(rulesets.get(String(ruleset)) ?? { rules: [] }, peer);
  assert.equal(reading.refused, false);
  const rules = reading.parser ? textsOf(reading, reading.parser === 'tls' ? 'serverNames' : reading.parser) : [];
  const lists = ['http', 'kafka', 'dns', 'serverNames'] as const;
  const denied = reading.denied.flatMap((one) => lists.flatMap((list) => textsOf(one, list)));
  return { ...verdict, parser: reading.parser, wildcard: reading.wildcard, rules, denied: [...new Set(denied)].sort() };
}

function textsOf(lists: L7RuleLists, name: keyof L7RuleLists): string[] {
  if (name === 'serverNames') return [...new Set(lists.serverNames.map((one) => one.name))].sort();
  return [...new Set(lists[name].map(({ policy: _, ...rule }) => JSON.stringify(rule)))].sort();
}

function randomFlow(scene: Scene, pick: Pick): OracleFlow | undefined {
  const { subjects, peers } = parties(scene);
  const subject = subjects[pick(subjects.length)];
  const peer = peers[pick(peers.length)];
  if (!subject || !peer) return undefined;
  const protocol = (['TCP', 'TCP', 'TCP', 'UDP', 'ICMP'] as const)[pick(5)] ?? 'TCP';
  const port = ([0, 8, 79, 80, 81, 90, 95, 96] as const)[pick(8)] ?? 0;
  return {
    direction: pick(2) === 0 ? 'ingress' : 'egress',
    subject,
    peer,
    protocol,
    port: protocol === 'ICMP' ? 8 : port,
  };
}

it('computes step by step what it computes from nothing, and what the rules say', () => {
  const pick = random(SEED);
  let scene = createScene();
  using ended = new DisposableStack();
  ended.defer(() => scene[Symbol.dispose]());
  scene.tables.inputs.endpoints.set('kube-system/resolver', resolverEndpoint());
  const reached = { allow: 0, deny: 0, redirect: 0, unenforced: 0, node: 0 };
  for (let step = 0; step * EDITS_PER_STEP < EDITS; step++) {
    const text = Array.from({ length: EDITS_PER_STEP }, () => editWorld(scene.tables.inputs, pick)).join('\n');
    scene.compute.step();
    if (step % RESTART_EVERY === RESTART_EVERY - 1) {
      scene = scene.restart();
      scene.compute.step();
    }
    if (step % COMPARE_EVERY > 0) continue;
    {
      using fresh = createScene({ inputs: scene.tables.inputs });
      fresh.compute.step();
      assert.deepEqual(rowsOf(scene), rowsOf(fresh), `step ${step}: ${text}`);
    }
    for (let n = 0; n < FLOWS; n++) {
      const flow = randomFlow(scene, pick);
      if (!flow) continue;
      const expected = readRules(scene.tables.inputs, flow);
      const where = (): string =>
        `step ${step}: ${JSON.stringify(flow)}\n${JSON.stringify([...scene.tables.inputs.policies.values()])}`;
      try {
        assert.deepEqual(compute(scene, flow), expected);
      } catch (cause) {
        throw new Error(`${(cause as Error).message}\n${where()}`);
      }
      reached[expected.enforced ? expected.action : 'unenforced']++;
      if (flow.subject.kind === 'node') reached.node++;
    }
  }
  assert.ok(Math.min(...Object.values(reached)) > EDITS / 50, JSON.stringify(reached));
  assert.deepEqual(scene.compute.problems(), []);
});

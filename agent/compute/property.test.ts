// After any edits, what compute reached step by step is what it reaches from nothing, and the entries decide every
// packet as the rules do when they are read one by one.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type Identity, RESERVED } from '#common/ids.ts';
import { identityLabels, parseIdentityLabel } from '../identity/labels.ts';
import { RESERVED_IDENTITIES } from '../identity/reserved.ts';
import { expandPorts, l4Covers, l4Key } from '../policy/l4.ts';
import { type LabelsByKey, labelsByKey, matches } from '../policy/selector.ts';
import { ALL_PORTS, edit, random } from './random.fixture.ts';
import { createScene, resolverEndpoint, type Scene, tcp, verdictOf } from './scene.fixture.ts';

const EDITS = 4000;
const COMPARE_EVERY = 4;
const PODS = ['a', 'b', 'c', 'd', 'e'];
const POLICIES = 5;

// Rows with what their numbers stand for instead of the numbers.
function rowsOf(scene: Scene): readonly string[] {
  const { policy, rulesets, cookies, identities, addresses, enforcement } = scene.tables.desired;
  const name = (id: Identity): string =>
    id === RESERVED.any ? 'any' : (identities.get(String(id))?.labels.join() ?? `unknown ${id}`);
  const peers = (list: 'any' | readonly Identity[]): unknown => (list === 'any' ? list : list.map(name).sort());
  const rulesetText = (id: number | undefined): unknown => {
    const row = rulesets.get(String(id));
    return row && [name(row.subject), row.direction, row.port, row.rules.map((r) => ({ ...r, peers: peers(r.peers) }))];
  };
  const entries = [...policy.entries()].map(([key, row]) => {
    assert.equal(key, `${row.subject} ${row.direction} ${row.peer} ${row.protocol} ${row.port} ${row.l4Bits}`);
    const { subject, peer, cookie, ruleset, ...rest } = row;
    const policies = cookies.get(String(cookie))?.policies ?? [];
    assert.equal(cookie === 0, policies.length === 0);
    return ['entry', name(subject), name(peer), policies, rulesetText(ruleset), rest];
  });
  return [
    ...entries,
    ...[...identities.values()].map((row) => ['identity', row.labels]),
    ...[...addresses.entries()].map(([key, row]) => ['address', key, name(row.identity), row.flags]),
    ...[...enforcement.values()].map((row) => ({ ...row, identity: name(row.identity) })),
  ]
    .map((row) => JSON.stringify(row))
    .sort();
}

interface Reading {
  readonly action: 'allow' | 'deny' | 'redirect';
  readonly wildcard: boolean;
  readonly http: readonly string[];
}

// The rules, read one by one, without anything that compute keeps.
function read(
  scene: Scene,
  subject: LabelsByKey,
  peer: LabelsByKey,
  at: { direction: 'ingress' | 'egress'; port: number },
): Reading {
  const covers = new Set(l4Covers(tcp(at.port)).map(l4Key));
  const kinds = new Set<string>();
  const http = new Set<string>();
  let [defaultDeny, wildcard] = [false, false];
  for (const policy of scene.tables.inputs.policies.values()) {
    for (const rule of policy.rules) {
      const items = rule[at.direction];
      if (!items?.length || !matches(rule.subject, subject)) continue;
      defaultDeny ||= rule.defaultDeny[at.direction];
      for (const item of items) {
        if (item.peers !== 'any' && !item.peers.some((p) => matches(p.selector, peer))) continue;
        const parts =
          item.ports === 'all'
            ? [undefined]
            : item.ports.filter((p) => p.ports.flatMap(expandPorts).some((l4) => covers.has(l4Key(l4))));
        for (const part of parts) {
          const rules = item.deny ? [] : (part?.l7?.rules ?? []);
          kinds.add(item.deny ? 'deny' : rules.length > 0 ? 'redirect' : 'allow');
          for (const r of rules) http.add(r.method);
          wildcard ||= !item.deny && rules.length === 0;
        }
      }
    }
  }
  const host = peer.has('host') && at.direction === 'ingress';
  if (!defaultDeny || host) {
    kinds.add('allow');
    wildcard = true;
  }
  const action = kinds.has('deny')
    ? 'deny'
    : kinds.has('redirect')
      ? 'redirect'
      : kinds.has('allow')
        ? 'allow'
        : 'deny';
  return action === 'redirect' ? { action, wildcard, http: [...http].sort() } : { action, wildcard: false, http: [] };
}

function compute(
  scene: Scene,
  subject: Identity,
  peer: Identity,
  at: { direction: 'ingress' | 'egress'; port: number },
): Reading {
  const { action, ruleset } = verdictOf(scene.tables.desired.policy.values(), {
    subject,
    peer,
    direction: at.direction,
    l4: tcp(at.port),
  });
  if (action !== 'redirect') return { action, wildcard: false, http: [] };
  const rules = (scene.tables.desired.rulesets.get(String(ruleset))?.rules ?? []).filter(
    (r) => r.peers === 'any' || r.peers.includes(peer),
  );
  const http = new Set(rules.flatMap((r) => r.http.map((h) => h.method)));
  return { action, wildcard: rules.some((r) => r.wildcard), http: [...http].sort() };
}

function labelsOf(scene: Scene): ReadonlyMap<Identity, LabelsByKey> {
  const all = new Map(
    RESERVED_IDENTITIES.map((row) => [row.identity, labelsByKey(row.labels.map(parseIdentityLabel))]),
  );
  for (const [key, endpoint] of scene.tables.inputs.endpoints.entries()) {
    const namespaceLabels = scene.tables.inputs.namespaces.get(endpoint.namespace)?.labels;
    const labels = identityLabels({ ...endpoint, namespaceLabels, cluster: 'default' });
    all.set(scene.compute.identityOf(key) as Identity, labelsByKey(labels.map(parseIdentityLabel)));
  }
  return all;
}

it('computes step by step what it computes from nothing, and what the rules say', () => {
  const pick = random(Number(process.env.SEED ?? 1));
  using scene = createScene();
  scene.tables.inputs.endpoints.set('kube-system/resolver', resolverEndpoint());
  const reached = { allow: 0, deny: 0, redirect: 0 };
  for (let n = 0; n < EDITS; n++) {
    const text = edit(scene, pick, { pods: PODS, policies: POLICIES, ports: ALL_PORTS });
    scene.compute.step();
    if (n % COMPARE_EVERY > 0) continue;
    {
      using fresh = createScene(undefined, scene.tables.inputs);
      fresh.compute.step();
      assert.deepEqual(rowsOf(scene), rowsOf(fresh), `edit ${n}: ${text}`);
    }
    const labels = labelsOf(scene);
    const pods = [...labels.keys()].filter((id) =>
      [...scene.tables.desired.policy.values()].some((row) => row.subject === id),
    );
    for (let flow = 0; flow < 20 && pods.length > 0; flow++) {
      const subject = pods[pick(pods.length)] as Identity;
      const peer = [...labels.keys()][pick(labels.size)] as Identity;
      const at = {
        direction: pick(2) === 0 ? ('ingress' as const) : ('egress' as const),
        port: [79, 80, 81, 90, 91, 95, 96][pick(7)] ?? 0,
      };
      const expected = read(scene, labels.get(subject) as LabelsByKey, labels.get(peer) as LabelsByKey, at);
      assert.deepEqual(
        compute(scene, subject, peer, at),
        expected,
        `edit ${n}: ${subject} ${peer} ${JSON.stringify(at)}: ${text}`,
      );
      reached[expected.action]++;
    }
  }
  assert.ok(Math.min(...Object.values(reached)) > 500, JSON.stringify(reached));
  assert.deepEqual(scene.compute.problems(), []);
});

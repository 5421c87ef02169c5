// Policies of the cluster and of a namespace about the same subjects, step by step and from nothing.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PolicyObject } from '#mesh-config/model.ts';
import { app, http, OTHER, PEER, policyOf, type Rig, rig, SUBJECT, sameAs, tcp } from './rig.fixture.ts';

type Edit = readonly [name: string, policy: PolicyObject | undefined];

function put({ compute }: Rig, ...edits: readonly Edit[]): void {
  for (const [name, policy] of edits) compute.setPolicy(name, policy);
  compute.compile();
  compute.recompute();
}

const ofCluster = (policy: PolicyObject): PolicyObject => ({
  ...policy,
  kind: 'CiliumClusterwideNetworkPolicy',
  namespace: '',
});

/** The policy further down in its file. */
function moved(policy: PolicyObject, lines: number): PolicyObject {
  const rules = policy.rules.map((rule) => ({
    ...rule,
    egress: rule.egress?.map((item) => ({ ...item, place: { ...item.place, line: item.place.line + lines } })) ?? [],
  }));
  return { ...policy, rules };
}

/** The policy for one subject alone. */
function onlyFor(subject: typeof SUBJECT, policy: PolicyObject): PolicyObject {
  const peer = sameAs(subject);
  if (peer.kind !== 'labels') throw new Error('Cannot select: not by labels');
  return { ...policy, rules: policy.rules.map((rule) => ({ ...rule, subject: peer.selector })) };
}

/** Rows with the rules behind them. */
function rowsOf({ desired }: Rig): readonly string[] {
  const rules = (cookie: number) => desired.cookies.get(String(cookie))?.rules;
  const text = [...desired.policy.values()].map(({ cookie, ruleset, ...row }) =>
    JSON.stringify([row, rules(cookie), desired.rulesets.get(String(ruleset))?.rules]),
  );
  return text.sort();
}

const toPeer = policyOf([{ peers: [app('peer')] }]);
const CLUSTER = ofCluster({ ...toPeer, name: 'c' });
const NAMESPACE = { ...toPeer, name: 'n' };

describe('layers', () => {
  const both: readonly Edit[] = [
    ['c', CLUSTER],
    ['n', NAMESPACE],
  ];
  const steps: readonly { readonly name: string; readonly edits: readonly Edit[] }[] = [
    { name: 'a rule of the cluster moves in its file', edits: [['c', moved(CLUSTER, 10)]] },
    { name: 'a rule of the namespace moves in its file', edits: [['n', moved(NAMESPACE, 10)]] },
    { name: 'the policy of the cluster goes', edits: [['c', undefined]] },
    { name: 'the policy of the namespace goes', edits: [['n', undefined]] },
    { name: 'both go', edits: both.map(([name]) => [name, undefined] as const) },
    { name: 'one comes as the other goes', edits: [both[0] as Edit, ['n', undefined]] },
    { name: 'requests begin to matter', edits: [['l', policyOf([{ peers: [app('peer')], l7: http('GET') }], 'l')]] },
    { name: 'a deny comes', edits: [['d', ofCluster(policyOf([{ peers: [app('peer')], deny: true }], 'd'))]] },
  ];
  for (const { name, edits } of steps) {
    it(`say after a step what they say from nothing: ${name}`, () => {
      const [stepped, fresh] = [rig(), rig()];
      put(stepped, ...both);
      put(stepped, ...edits);
      put(fresh, ...new Map([...both, ...edits]));
      assert.deepEqual(rowsOf(stepped), rowsOf(fresh));
    });
  }
  it('list the members of a ruleset that no entry names any more, as they are', () => {
    const one = rig();
    one.compute.addSubject(OTHER, 'by rules');
    put(one, ['a', policyOf([{ peers: [app('peer')], l7: http('GET') }], 'a')], ['n', NAMESPACE]);
    put(one, ['a', undefined], ['c', onlyFor(SUBJECT, policyOf([{ peers: 'any', ports: [tcp(81)] }], 'c'))]);
    const members = () =>
      [...one.desired.rulesets.values()]
        .filter(({ subject }) => subject === SUBJECT)
        .flatMap(({ rules }) => rules.flatMap(({ peers }) => (peers === 'any' ? [] : peers)));
    assert.ok(members().includes(PEER));
    one.compute.removeIdentity(PEER);
    one.compute.recompute();
    assert.deepEqual(members(), []);
  });
});

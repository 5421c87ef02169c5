import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  type PeerSetsKey,
  type PeerSetsValue,
  type PolicyCounter,
  type PolicyCounterKey,
  type PolicyKey,
  type PolicyValue,
  peerSetsKey,
  policyCounterKey,
  policyKey,
  type SubjectValue,
} from '#bpf/abi.ts';
import { type Identity, identity } from '#common/ids.ts';
import { PRECEDENCE } from '../policy/precedence.ts';
import { createTables } from '../tables.ts';
import { fakeMap } from './fake-map.ts';
import { countMap } from './map.ts';
import { createPolicySync } from './policy-sync.ts';
import { only, policyRow } from './random-world.fixture.ts';

const [X, Y, P] = [identity(300), identity(301), identity(400)];

it('a subject whose entries all found no room does not have those of another one after a restart', () => {
  const tables = createTables().desired;
  const policy = fakeMap<PolicyKey, PolicyValue>(policyKey, 1);
  const subjects = fakeMap<number, SubjectValue>({
    size: 4,
    encode: (value) => new Uint8Array(Uint32Array.of(value).buffer),
    decode: () => assert.fail('not used'),
  });
  const peerSets = fakeMap<PeerSetsKey, PeerSetsValue>(peerSetsKey);
  const counters = fakeMap<PolicyCounterKey, PolicyCounter>(policyCounterKey);
  const start = () =>
    createPolicySync(tables, {
      policy: countMap('policy', policy),
      subjects: countMap('subjects', subjects),
      peerSets: countMap('peer_sets', peerSets),
      counters,
    });
  const allow = (subject: Identity, port: number): void =>
    tables.policy.set(
      ...policyRow({
        ...{ subject, peers: only(P), direction: 'ingress', protocol: 6, port, l4Bits: 24 },
        ...{ action: 'allow', precedence: PRECEDENCE.allow, ruleset: 0, cookie: 1 },
      }),
    );
  const update = (sync: ReturnType<typeof start>): void => {
    const no = { ingress: false, egress: false };
    sync.clean();
    sync.plan({ host: { now: no, next: no }, isFresh: () => false, isLeaving: () => false, isAsked: () => true });
    if (sync.tighten()) sync.loosen();
  };
  /** Ports of the entries that the kernel asks for X. */
  const portsOfX = (): readonly number[] => {
    const use = subjects.get(X)?.ingress;
    const keys = policy.entries().map(([key]) => key);
    return keys.filter(({ edition }) => edition !== 0 && edition === use?.edition).map(({ port }) => port);
  };
  const first = start();
  allow(Y, 80);
  update(first);
  allow(X, 81);
  update(first);
  assert.deepEqual([policy.size, portsOfX(), first.isComplete(X)], [1, [], false]);
  first.close();

  policy.capacity = 10;
  const second = start();
  allow(Y, 82);
  const seen = new Set<number>();
  policy.onWrite = () => {
    for (const port of portsOfX()) seen.add(port);
  };
  update(second);
  assert.deepEqual([[...seen], portsOfX(), second.isComplete(X)], [[], [81], true]);
  second.close();
});

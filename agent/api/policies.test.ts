import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTable } from '#common/table.ts';
import { policy, worldOf } from '../explain/mesh.fixture.ts';
import type { PolicyEntryRow } from '../tables.ts';
import { policyHits } from './hits.ts';
import { policyStatuses } from './policies.ts';
import { createRealised } from './realised.ts';

const API = policy('api', 'api', 'ingress: [{ fromEndpoints: [{ matchLabels: { app: web } }] }]');
const BACK = `apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: { name: back }
spec:
  endpointSelector: { matchLabels: { tier: back } }
  ingressDeny: [{ fromEndpoints: [{ matchLabels: { app: probe } }] }]
  egress: [{ toEndpoints: [{}] }]
`;
const ABSENT = { policyHits: () => undefined, policyRevisionOf: () => undefined };

test('`policyStatuses` says of each policy whom it selects and what of it is in the map', () => {
  const { tables } = worldOf([API, BACK]);
  const hits = new Map([...tables.desired.policy.entries()].map(([key]) => [key, 2]));
  const statuses = policyStatuses(tables, { policyHits: () => hits, policyRevisionOf: () => 5 }, '');
  assert.deepEqual(
    statuses.map(({ kind, namespace, name, status, selects, directions, revision }) => [
      `${kind} ${namespace}/${name}`,
      status,
      selects,
      directions,
      revision,
    ]),
    [
      ['CiliumClusterwideNetworkPolicy /back', 'Valid', ['default/api', 'default/db'], ['ingress', 'egress'], 5],
      ['CiliumNetworkPolicy default/api', 'Valid', ['default/api'], ['ingress'], 5],
    ],
  );
  const [back, api] = statuses;
  assert.deepEqual(
    api?.rules.map(({ line, field, direction, deny, entries, hits: used }) => [
      line,
      field,
      direction,
      deny,
      entries,
      used,
    ]),
    [[6, 'spec.ingress[0]', 'ingress', false, 1, 2]],
  );
  assert.deepEqual(
    back?.rules.map(({ field, deny }) => [field, deny]),
    [
      ['spec.ingressDeny[0]', true],
      ['spec.egress[0]', false],
    ],
  );
  assert.equal(back?.hits, (back?.entries ?? 0) * 2);
  assert.deepEqual(
    policyStatuses(tables, ABSENT, 'default').map(({ name, hits: used, revision }) => [name, used, revision]),
    [['api', null, null]],
  );
});

test('`policyStatuses` tells a policy that is refused from one whose edit is', () => {
  const { tables } = worldOf([API]);
  const refuse = (file: string, object: string): void => {
    const place = { file, line: 3 };
    const problem = { ...place, field: 'spec', reason: 'wrong', warning: false, object };
    const doubt = { ...problem, reason: 'doubtful', warning: true };
    const row = { kind: 'File', namespace: '', name: '', ...place, accepted: false, problems: [problem, doubt] };
    tables.objects.set(file, row);
  };
  refuse('a.yaml', 'CiliumNetworkPolicy default/api');
  refuse('b.yaml', 'NetworkPolicy default/new');
  refuse('c.yaml', 'Pod default/x');
  const statuses = policyStatuses(tables, { ...ABSENT, policyRevisionOf: () => 5 }, '');
  assert.deepEqual(
    statuses.map(({ name, status, message, revision, location }) => [name, status, message, revision, location]),
    [
      ['api', 'Refused (earlier version in force)', 'spec: wrong', null, 'p1.yaml:1'],
      ['new', 'Refused', 'spec: wrong', null, 'b.yaml:3'],
    ],
  );
});

test('`policyHits` finds the entry that a counter belongs to', () => {
  const { tables } = worldOf([API]);
  const { policy: rows } = tables.desired;
  const [[key, row]] = [...rows.entries()].filter(([, one]) => one.peers > 0 && one.cookie > 0) as [
    [string, PolicyEntryRow],
  ];
  const { subject, peers, protocol, port } = row;
  const both = [1, 2].flatMap((direction) =>
    [row.l4Bits, 255].map((l4Bits) => [{ subject, peers, direction, protocol, port, l4Bits }, { hits: 3n }] as const),
  );
  assert.deepEqual(policyHits(rows, { entries: () => both }), new Map([[key, 3]]));
  assert.equal(policyHits(rows, { entries: () => [] }).size, 0);
});

test('`createRealised` counts what a round has carried out, and only that', () => {
  const policies = createTable<never>('policies');
  const put = (key: string): void => policies.set(key, { key } as never);
  put('a');
  const realised = createRealised(policies);
  const end = (revision: number, complete = true): void => realised.end({ revision, complete, lateWorkers: [] });
  assert.equal(realised.revisionOf('a'), undefined);
  realised.begin();
  put('b'); // comes while the round is under way
  end(3);
  assert.deepEqual([realised.revisionOf('a'), realised.revisionOf('b')], [3, undefined]);
  realised.begin();
  end(4, false);
  assert.equal(realised.revisionOf('b'), undefined);
  realised.begin();
  end(5);
  assert.deepEqual([realised.revisionOf('a'), realised.revisionOf('b')], [3, 5]);
  realised.begin();
  put('a');
  end(6);
  assert.equal(realised.revisionOf('a'), undefined);
  realised.begin();
  policies.delete('a');
  end(7);
  assert.equal(realised.revisionOf('a'), undefined);
  realised.close();
});

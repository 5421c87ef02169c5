import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { DirectionRule, PortRule } from '../../model.ts';
import { readObjects } from '../../read.ts';
import { accepted } from '../../testing.ts';
import { policy, ruleOf, SELECT_ALL } from './testing.ts';

type Entries = readonly Omit<DirectionRule, 'place'>[] | undefined;

/** What the entries say, without where. */
function bare(entries: readonly DirectionRule[] | undefined): Entries {
  return entries?.map(({ place: _, ...rest }) => rest);
}

describe('empty and absent parts of a rule', () => {
  const nobody = { peers: [], ports: 'all', deny: false } as const;
  const match = { kind: 'number', port: 80, endPort: 80, protocol: 'TCP' } as const;
  const port: PortRule = { ports: [match], l7: undefined, serverNames: [] };
  const nothing: PortRule = { ports: [], l7: undefined, serverNames: [] };
  const ports = 'toPorts: [{ports: [{port: "80", protocol: TCP}]}]';
  const cases: { name: string; spec: string; ingress?: Entries; egress?: Entries }[] = [
    { name: 'one direction only', spec: 'egress: [{}]', egress: [nobody] },
    { name: 'an empty direction is an absent one', spec: 'ingress: []\negress: [{}]', egress: [nobody] },
    { name: 'an empty entry allows nobody', spec: 'ingress: [{}]', ingress: [nobody] },
    { name: 'an empty entry denies nobody', spec: 'ingressDeny: [{}]', ingress: [{ ...nobody, deny: true }] },
    { name: 'an entry with empty ports only allows nobody', spec: 'ingress: [{toPorts: []}]', ingress: [nobody] },
    { name: 'an entry with empty icmps only allows nobody', spec: 'ingress: [{icmps: []}]', ingress: [nobody] },
    { name: 'an empty peer list allows nobody', spec: 'ingress: [{fromEndpoints: []}]', ingress: [nobody] },
    { name: 'an empty list of names only allows nobody', spec: 'egress: [{toFQDNs: []}]', egress: [nobody] },
    { name: 'an empty list of groups allows nobody', spec: `egress: [{toGroups: []}]`, egress: [nobody] },
    {
      name: 'an empty peer list with ports allows nobody',
      spec: `egress: [{toEndpoints: [], ${ports}}]`,
      egress: [{ peers: [], ports: [port], deny: false }],
    },
    {
      name: 'an empty list of groups with ports allows nobody',
      spec: `egress: [{toGroups: [], ${ports}}]`,
      egress: [{ peers: [], ports: [port], deny: false }],
    },
    {
      name: 'an empty list of names is as if it were not there',
      spec: `egress: [{toFQDNs: [], ${ports}}]`,
      egress: [{ peers: 'any', ports: [port], deny: false }],
    },
    {
      name: 'an empty list of requirements is as if it were not there',
      spec: `egress: [{toRequires: [], ${ports}}]`,
      egress: [{ peers: 'any', ports: [port], deny: false }],
    },
    {
      name: 'ports without peers allow everybody there',
      spec: `ingress: [{${ports}}]`,
      ingress: [{ peers: 'any', ports: [port], deny: false }],
    },
    {
      name: 'an entry of toPorts without ports matches nothing',
      spec: 'ingress: [{toPorts: [{}]}]',
      ingress: [{ peers: 'any', ports: [nothing], deny: false }],
    },
    {
      name: 'icmps without types match nothing',
      spec: 'ingress: [{icmps: [{fields: []}, {}]}]',
      ingress: [{ peers: 'any', ports: [nothing], deny: false }],
    },
    {
      name: 'entries that deny come after those that allow',
      spec: `egressDeny: [{toEntities: [world]}]\negress: [{toEntities: [all], ${ports}}]`,
      egress: [
        { peers: [{ kind: 'entity', entity: 'all' }], ports: [port], deny: false },
        { peers: [{ kind: 'entity', entity: 'world' }], ports: 'all', deny: true },
      ],
    },
  ];
  for (const { name, spec, ingress, egress } of cases) {
    test(name, () => {
      const { rule } = ruleOf(policy(SELECT_ALL + spec));
      assert.deepEqual(bare(rule.ingress), ingress);
      assert.deepEqual(bare(rule.egress), egress);
      assert.deepEqual(rule.defaultDeny, { ingress: ingress !== undefined, egress: egress !== undefined });
    });
  }
});

describe('default deny', () => {
  const cases: { spec: string; ingress: boolean; egress: boolean }[] = [
    { spec: 'ingress: [{}]', ingress: true, egress: false },
    { spec: 'ingressDeny: [{}]', ingress: true, egress: false },
    { spec: 'ingress: [{}]\nenableDefaultDeny: {}', ingress: true, egress: false },
    { spec: 'ingress: [{}]\nenableDefaultDeny: {ingress: true}', ingress: true, egress: false },
    { spec: 'ingress: [{}]\nenableDefaultDeny: {ingress: false}', ingress: false, egress: false },
    { spec: 'egressDeny: [{}]\nenableDefaultDeny: {egress: false}', ingress: false, egress: false },
    { spec: 'ingress: [{}]\negress: [{}]\nenableDefaultDeny: {egress: false}', ingress: true, egress: false },
    { spec: 'ingress: [{}]\nenableDefaultDeny: {egress: true}', ingress: true, egress: false },
  ];
  for (const { spec, ingress, egress } of cases) {
    test(spec.replaceAll('\n', ', '), () => {
      assert.deepEqual(ruleOf(policy(SELECT_ALL + spec)).rule.defaultDeny, { ingress, egress });
    });
  }
});

describe('the place of an entry', () => {
  const text = policy(`${SELECT_ALL}ingress:\n- {}\n\n- fromEntities: [world]\ningressDeny:\n- {}`);
  const places = (source: string) => {
    const [object] = readObjects('f.yaml', source).objects;
    assert.ok(object?.kind === 'CiliumNetworkPolicy');
    return object.rules.flatMap((rule) => (rule.ingress ?? []).map(({ place }) => `${place.line} ${place.field}`));
  };
  test('is its line and field', () => {
    assert.deepEqual(places(text), ['7 spec.ingress[0]', '9 spec.ingress[1]', '11 spec.ingressDeny[0]']);
  });
  test('counts from the beginning of the file', () => {
    const other = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n';
    assert.equal(readObjects('f.yaml', other + text).objects.length, 2);
    const [, object] = readObjects('f.yaml', other + text).objects;
    assert.ok(object?.kind === 'CiliumNetworkPolicy');
    assert.deepEqual(object.rules[0]?.ingress?.[0]?.place, { line: 11, field: 'spec.ingress[0]' });
  });
  test('in a List has the path of the item', () => {
    const list = `apiVersion: v1\nkind: List\nitems:\n- ${text.replace(/\n/g, '\n  ')}`;
    assert.equal(places(list)[0], '10 items[0].spec.ingress[0]');
  });
});

test('spec and specs are both read, and free texts are kept out', () => {
  const { object, warnings } = accepted(
    'CiliumNetworkPolicy',
    `${policy('endpointSelector: {}\ningress: [{}]\ndescription: a\nlabels: [{key: x, value: y, source: z}]')}specs:
- {endpointSelector: {}, egress: [{}]}
- {endpointSelector: {matchLabels: {a: b}}, ingress: [{}], log: {value: x}}
description: outside
`,
  );
  assert.deepEqual(
    object.rules.map((rule) => [rule.ingress?.length, rule.egress?.length]),
    [
      [1, undefined],
      [undefined, 1],
      [1, undefined],
    ],
  );
  assert.deepEqual(
    warnings.map((line) => line.split(':')[0]),
    ['specs[1].log', 'description'],
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FlowFilter } from '#observe/flow/model.ts';
import { createFilterBuilder } from './filters.ts';

const UUID = '0f8fad5b-d9cb-469f-a165-70867728950e';

type Flag = readonly [flag: string, value: string] | 'not';

function build(flags: readonly Flag[]): { whitelist: FlowFilter[]; blacklist: FlowFilter[] } | string {
  const builder = createFilterBuilder();
  for (const flag of flags) {
    const added = flag === 'not' ? builder.negate() : builder.add(flag[0], flag[1]);
    if (!added.ok) return added.error;
  }
  const built = builder.build();
  return built.ok ? built.value : built.error;
}

const CASES: readonly { name: string; flags: readonly Flag[]; whitelist?: FlowFilter[]; blacklist?: FlowFilter[] }[] = [
  { name: 'no flag', flags: [] },
  { name: 'either side', flags: [['pod', 'a']], whitelist: [{ source_pod: ['a'] }, { destination_pod: ['a'] }] },
  { name: 'one side', flags: [['from-pod', 'a']], whitelist: [{ source_pod: ['a'] }] },
  {
    name: 'one flag several times',
    flags: [
      ['to-pod', 'a'],
      ['to-pod', 'b'],
    ],
    whitelist: [{ destination_pod: ['a', 'b'] }],
  },
  {
    name: 'two flags for either side, each on its own',
    flags: [
      ['pod', 'a'],
      ['port', '80'],
    ],
    whitelist: [
      { source_pod: ['a'], source_port: ['80'] },
      { destination_pod: ['a'], source_port: ['80'] },
      { source_pod: ['a'], destination_port: ['80'] },
      { destination_pod: ['a'], destination_port: ['80'] },
    ],
  },
  {
    name: 'a namespace alone',
    flags: [['namespace', 'x']],
    whitelist: [{ source_pod: ['x/'] }, { destination_pod: ['x/'] }],
  },
  {
    name: 'a namespace that completes names',
    flags: [
      ['namespace', 'x'],
      ['from-pod', 'a'],
      ['to-pod', 'y/b'],
    ],
    whitelist: [{ source_pod: ['x/a'], destination_pod: ['y/b'] }],
  },
  {
    name: 'a namespace of the other side',
    flags: [
      ['to-namespace', 'x'],
      ['from-pod', 'a'],
    ],
    whitelist: [{ source_pod: ['a'], destination_pod: ['x/'] }],
  },
  {
    name: 'exclusions, each on its own',
    flags: ['not', ['from-pod', 'a'], 'not', ['verdict', 'dropped'], ['protocol', 'tcp']],
    whitelist: [{ protocol: ['tcp'] }],
    blacklist: [{ source_pod: ['a'] }, { verdict: ['DROPPED'] }],
  },
  {
    name: 'types with and without kind',
    flags: [
      ['type', 'l7'],
      ['type', 'trace:to-endpoint'],
      ['type', 'drop:133'],
    ],
    whitelist: [
      {
        event_type: [
          { type: 129 },
          { type: 4, match_sub_type: true, sub_type: 0 },
          { type: 1, match_sub_type: true, sub_type: 133 },
        ],
      },
    ],
  },
  { name: 'identity by name', flags: [['from-identity', 'world']], whitelist: [{ source_identity: [2] }] },
  {
    name: 'workload with kind',
    flags: [['to-workload', 'Deployment/deathstar']],
    whitelist: [{ destination_workload: [{ kind: 'Deployment', name: 'deathstar' }] }],
  },
  { name: 'TCP flags', flags: [['tcp-flags', 'syn,ack']], whitelist: [{ tcp_flags: [{ SYN: true, ACK: true }] }] },
  { name: 'a trace', flags: [['trace-id', 'AB'.repeat(16)]], whitelist: [{ trace_id: ['ab'.repeat(16)] }] },
  { name: 'one flow', flags: [['uuid', UUID.toUpperCase()]], whitelist: [{ uuid: [UUID] }] },
  {
    name: 'a drop reason',
    flags: [['drop-reason-desc', 'policy_denied']],
    whitelist: [{ drop_reason_desc: ['POLICY_DENIED'] }],
  },
  { name: 'IP version', flags: [['ip-version', 'v6']], whitelist: [{ ip_version: ['IPv6'] }] },
];

for (const { name, flags, whitelist = [], blacklist = [] } of CASES) {
  test(`\`createFilterBuilder\`: ${name}`, () => assert.deepEqual(build(flags), { whitelist, blacklist }));
}

const REFUSED: readonly { flags: readonly Flag[]; error: RegExp }[] = [
  { flags: [['type', 'smoke']], error: /--type "smoke": not one of/ },
  { flags: [['type', 'trace:nowhere']], error: /"nowhere" is no kind of trace/ },
  { flags: [['type', 'l7:133']], error: /"133" is no kind of l7/ },
  { flags: [['identity', 'somebody']], error: /--identity "somebody": not an identity/ },
  { flags: [['tcp-flags', 'SYN,FOO']], error: /"FOO" is not one of/ },
  { flags: [['ip-version', '5']], error: /not one of IPv4, IPv6/ },
  {
    flags: [
      ['pod', 'a'],
      ['to-pod', 'b'],
    ],
    error: /Cannot filter by pod on either side and on the destination's/,
  },
  { flags: [['trace-id', 'xyz']], error: /--trace-id "xyz": not 32 hexadecimal digits/ },
  { flags: [['trace-id', '0'.repeat(32)]], error: /not all 0/ },
  { flags: [['uuid', '1234']], error: /--uuid "1234": not a UUID/ },
  { flags: [['drop-reason-desc', 'BAD_MOOD']], error: /--drop-reason-desc "BAD_MOOD": not one of INVALID_SOURCE_MAC/ },
  { flags: ['not', 'not'], error: /twice in a row/ },
  { flags: ['not'], error: /needs a filter after it/ },
];

for (const { flags, error } of REFUSED) {
  test(`\`createFilterBuilder\` refuses ${JSON.stringify(flags)}`, () => assert.match(String(build(flags)), error));
}

test('`inFlags` names the flags that the user wrote, and leaves other messages alone', () => {
  const builder = createFilterBuilder();
  for (const [flag, value] of [
    ['label', 'x='],
    ['from-ip', 'x'],
    ['namespace', ''],
    ['pod', 'a'],
  ] as const) {
    builder.add(flag, value);
  }
  const cases = [
    { message: 'Cannot filter by destination_label: bad', shown: 'Cannot filter by --label: bad' },
    { message: 'Cannot filter by source_ip: bad', shown: 'Cannot filter by --from-ip: bad' },
    { message: 'Cannot filter by source_pod: bad', shown: 'Cannot filter by --namespace or --pod: bad' },
    { message: 'Cannot filter by destination_ip: bad', shown: 'Cannot filter by destination_ip: bad' },
    { message: 'Cannot do that: bad', shown: 'Cannot do that: bad' },
  ];
  for (const { message, shown } of cases) assert.equal(builder.inFlags(message), shown);
});

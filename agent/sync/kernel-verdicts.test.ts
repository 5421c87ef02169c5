// The kernel's answers to flows between rows written by hand: who is asked, and what for.
//
//   a/x 10.0.1.1 fd00::1:1 (identity 300) and a/y 10.0.1.2 (identity 301, no IPv6 address) on this node
//   192.0.2.0/24 (identity 16777217), the host (1)

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { MATCH_ALL, MATCH_L3_L4, MATCH_NONE } from '#bpf/abi.ts';
import { type Identity, identity, RESERVED } from '#common/ids.ts';
import { address, formatCidr, parseCidr } from '#common/ip.ts';
import { createTables, HOST_ENDPOINT, type Tables } from '../tables.ts';
import { createKernelVerdicts, type FlowEnd, type KernelVerdicts } from './kernel-verdicts.fixture.ts';
import { endpointRow, know, only, policyRow, type WrittenRow } from './random-world.fixture.ts';

let kernel: KernelVerdicts;
before(async () => {
  kernel = await createKernelVerdicts();
});
after(() => kernel?.[Symbol.dispose]());

const [X, Y, PREFIX] = [300, 301, 16777217].map(identity) as [Identity, Identity, Identity];

function pod(tables: Tables, name: string, at: { id: Identity; ip4: string; ip6?: string }): void {
  const [ip4, ip6] = [address(at.ip4), at.ip6 === undefined ? undefined : address(at.ip6)];
  const [key, row] = endpointRow(name, { id: at.id, identity: at.id, ip4, ...(ip6 ? { ip6 } : {}) });
  tables.desired.endpoints.set(key, row);
  for (const ip of [ip4, ip6]) if (ip) prefix(tables, formatCidr({ address: ip, bits: 128 }), at.id, 2);
}

function prefix(tables: Tables, text: string, id: Identity, flags = 0): void {
  const cidr = parseCidr(text);
  assert.ok(cidr.ok);
  tables.desired.addresses.set(text, { cidr: cidr.value, identity: id, flags });
}

const ROW: WrittenRow = {
  subject: X,
  peers: only(RESERVED.any),
  direction: 'ingress',
  protocol: 0,
  port: 0,
  l4Bits: 0,
  action: 'allow',
  precedence: 1,
  ruleset: 0,
  cookie: 0,
};

function scene(entries: readonly Partial<WrittenRow>[]): Tables {
  const tables = createTables();
  pod(tables, 'x', { id: X, ip4: '10.0.1.1', ip6: 'fd00::1:1' });
  pod(tables, 'y', { id: Y, ip4: '10.0.1.2' });
  prefix(tables, '192.0.2.0/24', PREFIX);
  know(tables.desired, X, Y, PREFIX, ...Object.values(RESERVED));
  for (const [i, entry] of entries.entries())
    tables.desired.policy.set(...policyRow({ ...ROW, cookie: i + 1, ...entry }));
  return tables;
}

const web = { protocol: 6, port: 80, l4Bits: 24 };
const openY = { subject: Y, direction: 'egress' } as const;
interface Case {
  readonly name: string;
  readonly entries: readonly Partial<WrittenRow>[];
  readonly from: FlowEnd;
  readonly to: FlowEnd;
  readonly flow?: { readonly protocol: 'TCP' | 'UDP' | 'SCTP' | 'ICMP' | 'ICMPv6'; readonly port: number };
  /** Action, match, cookie. */
  readonly egress?: readonly [string, number, number];
  readonly ingress?: readonly [string, number, number];
}
const x = { endpoint: 'a/x' };
const y = { endpoint: 'a/y' };
const CASES: readonly Case[] = [
  {
    name: 'both ends here: both policies',
    entries: [openY, { peers: only(Y), ...web }],
    from: y,
    to: x,
    egress: ['allow', MATCH_ALL, 1],
    ingress: ['allow', MATCH_L3_L4, 2],
  },
  {
    name: 'an egress denial does not keep the other side from being asked',
    entries: [{}],
    from: y,
    to: x,
    egress: ['deny', MATCH_NONE, 0],
    ingress: ['allow', MATCH_ALL, 1],
  },
  {
    name: 'an address that is an endpoint is that endpoint',
    entries: [openY, { peers: only(Y), ...web }],
    from: { address: '10.0.1.2' },
    to: { address: '10.0.1.1' },
    egress: ['allow', MATCH_ALL, 1],
    ingress: ['allow', MATCH_L3_L4, 2],
  },
  {
    name: 'a redirect that cannot be carried out is one all the same',
    entries: [{ action: 'redirect', ruleset: 9, ...web }],
    from: { address: '192.0.2.1' },
    to: x,
    ingress: ['redirect', 3, 1],
  },
  {
    name: 'a redirect of UDP',
    entries: [openY, { action: 'redirect', ruleset: 9, protocol: 17, port: 53, l4Bits: 24 }],
    from: y,
    to: x,
    flow: { protocol: 'UDP', port: 53 },
    egress: ['allow', MATCH_ALL, 1],
    ingress: ['redirect', 3, 2],
  },
  {
    name: 'a prefix by its identity',
    entries: [{ peers: only(PREFIX) }],
    from: { address: '192.0.2.200' },
    to: x,
    ingress: ['allow', 1, 1],
  },
  {
    name: 'an address beside the prefix',
    entries: [{ peers: only(PREFIX) }],
    from: { address: '192.0.3.1' },
    to: x,
    ingress: ['deny', MATCH_NONE, 0],
  },
  {
    name: 'IPv6 echo to an endpoint without an IPv6 address',
    entries: [
      { subject: X, direction: 'egress' },
      { subject: Y, protocol: 58, port: 128, l4Bits: 24 },
    ],
    from: x,
    to: y,
    flow: { protocol: 'ICMPv6', port: 128 },
    egress: ['allow', MATCH_ALL, 1],
    ingress: ['allow', 3, 2],
  },
  {
    name: 'a neighbor solicitation that would leave the link',
    entries: [
      { subject: X, direction: 'egress', protocol: 58, port: 135, l4Bits: 24 },
      { subject: Y, protocol: 58, l4Bits: 8 },
    ],
    from: x,
    to: y,
    flow: { protocol: 'ICMPv6', port: 135 },
    egress: ['allow', 3, 1],
    ingress: ['allow', 6, 2],
  },
  {
    name: 'the host is a peer like others',
    entries: [{ peers: only(Y) }],
    from: { identity: RESERVED.host },
    to: x,
    ingress: ['deny', MATCH_NONE, 0],
  },
  {
    name: 'an identity without an address',
    entries: [{ peers: only(RESERVED.health) }],
    from: { identity: RESERVED.health },
    to: x,
    flow: { protocol: 'SCTP', port: 7 },
    ingress: ['allow', 1, 1],
  },
];

const WEB = { protocol: 'TCP', port: 80 } as const;
for (const { name, entries, from, to, flow = WEB, egress, ingress } of CASES) {
  test(name, async () => {
    await kernel.load(scene(entries).desired);
    const answer = kernel.ask({ from, to, ...flow });
    const told = (side: typeof answer.egress) => side && [side.action, side.match, side.cookie];
    assert.deepEqual({ egress: told(answer.egress), ingress: told(answer.ingress) }, { egress, ingress });
  });
}

test("the host's own policy is asked when it is enforced", async () => {
  const tables = scene([openY, { subject: RESERVED.host, peers: only(Y) }]);
  const flow = { from: y, to: { identity: RESERVED.host }, protocol: 'TCP', port: 22 } as const;
  await kernel.load(tables.desired);
  assert.equal(kernel.ask(flow).ingress, undefined);
  tables.desired.enforcement.set(HOST_ENDPOINT, {
    endpoint: HOST_ENDPOINT,
    identity: RESERVED.host,
    ingress: true,
    egress: false,
    audit: false,
  });
  await kernel.load(tables.desired);
  assert.equal(kernel.ask(flow).ingress?.action, 'allow');
  assert.equal(kernel.ask({ ...flow, from: { address: '198.51.100.1' } }).ingress?.action, 'deny');
});

test('nine thousand questions over a thousand loads take seconds', async () => {
  const begun = performance.now();
  for (let load = 0; load < 100; load++) {
    await kernel.load(scene([openY, { peers: only(Y), protocol: 6, port: load + 1, l4Bits: 24 }]).desired);
    for (let port = 1; port <= 9; port++) {
      const { ingress } = kernel.ask({ from: y, to: x, protocol: 'TCP', port: load + port });
      assert.equal(ingress?.action, port === 1 ? 'allow' : 'deny');
    }
  }
  const seconds = (performance.now() - begun) / 1000;
  assert.ok(seconds < 6, `a tenth of them took ${seconds} s`);
});

test('an endpoint that is not loaded is an error', () => {
  assert.throws(() => kernel.ask({ from: { endpoint: 'a/z' }, to: x, protocol: 'TCP', port: 1 }), /"a\/z"/);
});

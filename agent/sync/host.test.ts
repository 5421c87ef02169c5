// What sync tells the kernel of the node itself, and in which order; audit mode of endpoints; counters of entries.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import {
  ENDPOINT_AUDIT,
  type LifelineKey,
  NODE_AUDIT,
  NODE_HOST_EGRESS,
  NODE_HOST_INGRESS,
  type NodeConfig,
  type PolicyCounter,
  type PolicyCounterKey,
} from '#bpf/abi.ts';
import { identity, RESERVED } from '#common/ids.ts';
import { type Address, address, formatAddress } from '#common/ip.ts';
import { createTable, type Table } from '#common/table.ts';
import { createTables, HOST_ENDPOINT, type Tables } from '../tables.ts';
import { CONFIG, type FakeKernel, fakeKernel } from './kernel.fixture.ts';
import { endpointRow, only, policyRow } from './random-world.fixture.ts';
import { createSync, type Sync } from './sync.ts';

const ROW = { direction: 'ingress', protocol: 0, port: 0, l4Bits: 0, action: 'allow', precedence: 1 } as const;
const HOST_ROW = { ...ROW, subject: RESERVED.host, peers: only(identity(300)), ruleset: 0, cookie: 1 };
const BITS = NODE_HOST_INGRESS | NODE_HOST_EGRESS;

interface Rig {
  readonly tables: Tables;
  readonly kernel: FakeKernel;
  readonly sync: Sync;
  readonly nameServers: Table<Address>;
  enforce(ingress: boolean, egress: boolean): void;
  config(): NodeConfig | undefined;
}

function rig(tables = createTables(), kernel = fakeKernel()): Rig {
  const nameServers = createTable<Address>('name servers');
  nameServers.set('192.0.2.53', address('192.0.2.53'));
  const sync = createSync({
    tables,
    maps: kernel.maps,
    proxies: kernel.proxiesFor(tables),
    conntrack: { purge: async () => 0 },
    config: CONFIG,
    nameServers,
  });
  return {
    tables,
    kernel,
    sync,
    nameServers,
    enforce(ingress, egress) {
      const { enforcement } = tables.desired;
      if (!ingress && !egress) enforcement.delete(HOST_ENDPOINT);
      else {
        const row = { endpoint: HOST_ENDPOINT, identity: RESERVED.host, ingress, egress, audit: false };
        enforcement.set(HOST_ENDPOINT, row);
      }
    },
    config: () => kernel.maps.node_config.get(0),
  };
}

describe('sync of the node itself', () => {
  const cases = [
    { ingress: false, egress: false, bits: 0 },
    { ingress: true, egress: false, bits: NODE_HOST_INGRESS },
    { ingress: false, egress: true, bits: NODE_HOST_EGRESS },
    { ingress: true, egress: true, bits: BITS },
  ];
  for (const { ingress, egress, bits } of cases) {
    it(`tells the kernel to ask for ingress: ${ingress}, egress: ${egress}`, async () => {
      const r = rig();
      r.enforce(ingress, egress);
      await r.sync.apply();
      assert.equal((r.config()?.flags ?? 0) & BITS, bits);
      r.enforce(false, false);
      await r.sync.apply();
      assert.equal((r.config()?.flags ?? 0) & BITS, 0);
    });
  }

  it('tells it when the entries are there, and raises the revision afterwards', async () => {
    const r = rig();
    await r.sync.apply();
    const { revision } = r.config() as NodeConfig;
    r.tables.desired.policy.set(...policyRow(HOST_ROW));
    r.enforce(true, false);
    const steps: number[][] = [];
    r.kernel.onStep = () => {
      const { flags = 0, revision = 0 } = r.config() ?? {};
      steps.push([r.kernel.maps.policy.size, flags & BITS, revision]);
    };
    await r.sync.apply();
    const changes = steps.filter((step, i) => `${step}` !== `${steps[i - 1]}`);
    assert.deepEqual(changes.slice(-3), [
      [1, 0, revision],
      [1, NODE_HOST_INGRESS, revision],
      [1, NODE_HOST_INGRESS, revision + 1],
    ]);
  });

  it('takes the entries away when the kernel does not ask any more', async () => {
    const r = rig();
    r.tables.desired.policy.set(...policyRow(HOST_ROW));
    r.enforce(true, false);
    await r.sync.apply();
    r.tables.desired.policy.delete(policyRow(HOST_ROW)[0]);
    r.enforce(false, false);
    r.kernel.onStep = () => {
      if (((r.config()?.flags ?? 0) & BITS) !== 0) assert.equal(r.kernel.maps.policy.size, 1);
    };
    await r.sync.apply();
    r.kernel.onStep = undefined;
    await setImmediate();
    assert.equal(r.kernel.maps.policy.size, 0);
  });

  it('leaves what a dead agent told the kernel until it knows better', async () => {
    const before = rig();
    before.enforce(true, true);
    await before.sync.apply();
    const next = rig(createTables(), before.kernel);
    assert.equal((next.config()?.flags ?? 0) & BITS, BITS);
    await next.sync.apply();
    assert.equal((next.config()?.flags ?? 0) & BITS, 0);
  });

  it('without room for the entries asks for what there are: less, not more', async () => {
    const r = rig();
    r.tables.desired.policy.set(...policyRow(HOST_ROW));
    r.enforce(true, false);
    r.kernel.maps.policy.capacity = 0;
    assert.equal((await r.sync.apply()).complete, false);
    assert.equal((r.config()?.flags ?? 0) & BITS, NODE_HOST_INGRESS);
    assert.deepEqual(r.sync.pending().policy, ['1 ingress']);
    r.kernel.maps.policy.capacity = 10;
    assert.equal((await r.sync.apply()).complete, true);
    assert.equal(r.kernel.maps.policy.size, 1);
  });

  it('keeps its own bits out of the settings that others change, and raises the revision for these', async () => {
    const r = rig();
    r.enforce(true, false);
    const { revision } = await r.sync.apply();
    r.sync.configure({ flags: NODE_AUDIT | NODE_HOST_EGRESS, workerSlots: 3 });
    assert.deepEqual(r.config(), {
      ...CONFIG,
      workerSlots: 3,
      flags: NODE_AUDIT | NODE_HOST_INGRESS,
      revision: revision + 1,
    });
  });
});

describe('lifelines', () => {
  const keys = ({ kernel }: Rig): readonly string[] =>
    (kernel.maps.lifelines.entries() as unknown as [LifelineKey, number][])
      .map(([{ ip, port, protocol }]) => `${formatAddress(ip)} ${port} ${protocol}`)
      .sort();
  const DNS = ['192.0.2.53 53 17', '192.0.2.53 53 6'];
  const server = (r: Rig, ip: string, id: number, labels: readonly string[]): void => {
    const { addresses, identities } = r.tables.desired;
    addresses.set(`${ip}/32`, { cidr: { address: address(ip), bits: 128 }, identity: identity(id), flags: 0 });
    identities.set(String(id), { identity: identity(id), labels, namedPorts: [] });
  };

  it('are the name servers, and whoever is labelled as an API server', async () => {
    const r = rig();
    server(r, '192.0.2.6', 7, ['reserved:kube-apiserver', 'reserved:remote-node']);
    server(r, '198.51.100.6', 16777217, ['cidr:198.51.100.0/24', 'reserved:kube-apiserver', 'reserved:world-ipv4']);
    server(r, '198.51.100.7', 16777218, ['cidr:198.51.100.0/24', 'reserved:world-ipv4']);
    await r.sync.apply();
    assert.deepEqual(keys(r), [...DNS, '192.0.2.6 0 6', '198.51.100.6 0 6'].sort());
    const { revision } = await r.sync.apply();
    r.tables.desired.addresses.delete('192.0.2.6/32');
    assert.equal((await r.sync.apply()).revision, revision + 1);
    assert.deepEqual(keys(r), [...DNS, '198.51.100.6 0 6'].sort());
    r.tables.desired.identities.delete('16777217');
    await r.sync.apply();
    assert.deepEqual(keys(r), DNS);
  });

  it('are there before the kernel asks for the node, and an agent prunes those of another', async () => {
    const r = rig();
    r.enforce(true, true);
    r.kernel.onStep = () => {
      if (((r.config()?.flags ?? 0) & BITS) !== 0) assert.deepEqual(keys(r), DNS);
    };
    await r.sync.apply();
    r.kernel.onStep = undefined;
    r.kernel.maps.lifelines.set({ ip: address('203.0.113.1'), port: 53, protocol: 17 } as never, 1 as never);
    const next = rig(r.tables, r.kernel);
    await next.sync.apply();
    assert.deepEqual(keys(next), DNS);
  });

  it('follow the name servers: the new ones first, and the revision is raised', async () => {
    const r = rig();
    const { revision } = await r.sync.apply();
    r.nameServers.delete('192.0.2.53');
    r.nameServers.set('2001:db8::53', address('2001:db8::53'));
    const sizes: number[] = [];
    r.kernel.onStep = () => void sizes.push(keys(r).length);
    assert.equal((await r.sync.apply()).revision, revision + 1);
    assert.deepEqual(keys(r), ['2001:db8::53 53 17', '2001:db8::53 53 6']);
    assert.equal(Math.max(...sizes), 4, 'both at once for a moment');
    assert.ok(Math.min(...sizes) >= 2, 'never none');
  });

  it('that find no room are said', async () => {
    const r = rig();
    r.kernel.maps.lifelines.capacity = 1;
    assert.equal((await r.sync.apply()).complete, false);
    assert.equal(r.sync.pending().lifelines.length, 1);
    assert.match(r.sync.maps().find(({ name }) => name === 'lifelines')?.lastError ?? '', /all 1 entries are in use/);
  });
});

describe('audit mode of an endpoint', () => {
  it('changes in place, after policy', async () => {
    const r = rig();
    const [key, row] = endpointRow('x', { id: 4, identity: identity(300), ip4: address('10.0.1.1') });
    const cidr = { address: address('10.0.1.1'), bits: 128 };
    r.tables.desired.addresses.set('10.0.1.1/32', { cidr, identity: identity(300), flags: 2 });
    r.tables.desired.endpoints.set(key, row);
    const { revision } = await r.sync.apply();
    r.tables.desired.endpoints.set(key, { ...row, endpoint: { ...row.endpoint, audit: true } });
    r.tables.desired.policy.set(...policyRow({ ...HOST_ROW, subject: identity(300) }));
    const { endpoint_addrs: map } = r.kernel.maps;
    r.kernel.onStep = () => {
      const endpoint = map.get(address('10.0.1.1') as never) as { flags: number } | undefined;
      assert.ok(endpoint, 'never out');
      if (endpoint.flags === ENDPOINT_AUDIT) assert.equal(r.kernel.maps.policy.size, 1);
    };
    assert.equal((await r.sync.apply()).revision, revision + 1);
    assert.equal((map.get(address('10.0.1.1') as never) as { flags: number } | undefined)?.flags, ENDPOINT_AUDIT);
  });
});

describe('counters of policy entries', () => {
  const NO_ENTRY = 255;
  const used: PolicyCounter = { hits: 3n, audited: 0n, lastUsed: 9 };
  const keyOf = (subject: number, l4Bits: number): PolicyCounterKey => ({
    subject,
    peers: 0,
    direction: 1,
    protocol: 0,
    port: 0,
    l4Bits,
  });
  const row = policyRow({ ...ROW, subject: identity(300), peers: only(RESERVED.any), ruleset: 0, cookie: 1 });

  it('go with their entries, and that of no entry with the subject', async () => {
    const r = rig();
    r.tables.desired.policy.set(...row);
    await r.sync.apply();
    for (const l4Bits of [0, NO_ENTRY]) r.kernel.maps.policy_counters.set(keyOf(300, l4Bits) as never, used as never);
    r.tables.desired.policy.set(row[0], { ...row[1], action: 'deny', precedence: 2 });
    await r.sync.apply();
    assert.equal(r.kernel.maps.policy_counters.size, 2, 'an entry that changes keeps its counter');
    r.tables.desired.policy.delete(row[0]);
    await r.sync.apply();
    await setImmediate(); // nobody waits for it
    assert.equal(r.kernel.maps.policy_counters.size, 0);
  });

  it('of entries that are no more are pruned by a new agent', async () => {
    const r = rig();
    r.tables.desired.policy.set(...row);
    await r.sync.apply();
    for (const subject of [300, 301]) r.kernel.maps.policy_counters.set(keyOf(subject, 0) as never, used as never);
    await rig(r.tables, r.kernel).sync.apply();
    await setImmediate();
    assert.equal(r.kernel.maps.policy_counters.size, 1);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { ACTION_ALLOW } from '#bpf/abi.ts';
import { address, formatAddress } from '#common/ip.ts';
import { createScene, resolverEndpoint, type Scene } from '../compute/scene.fixture.ts';
import { CONFIG, type FakeKernel, fakeKernel } from './kernel.fixture.ts';
import { createSync, type Sync } from './sync.ts';

const PODS = `
apiVersion: v1
kind: Pod
metadata: { name: web, labels: { app: web } }
spec: { containers: [{ name: c, image: none, command: [sleep] }] }
---
apiVersion: v1
kind: Pod
metadata: { name: client, labels: { app: client } }
spec: { containers: [{ name: c, image: none, command: [sleep] }] }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, clusterIP: 10.96.1.1, ports: [{ port: 80, targetPort: 8080 }] }
`;
const POLICY = `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: p }
spec:
  endpointSelector: { matchLabels: { app: web } }
  ingress: [{ fromEndpoints: [{ matchLabels: { app: client } }], toPorts: [{ ports: [{ port: "8080", protocol: TCP }], rules: { http: [{ method: GET }] } }] }]
`;
const OTHER = `
apiVersion: v1
kind: Pod
metadata: { name: other, labels: { app: other } }
spec: { containers: [{ name: main, command: ["true"] }] }
`;
const WEB = address('10.244.0.10');
const CLIENT = address('10.244.0.11');

interface Rig {
  readonly scene: Scene;
  readonly kernel: FakeKernel;
  readonly sync: Sync;
  readonly purged: string[];
  step(): Promise<Awaited<ReturnType<Sync['apply']>>>;
}

function rig(scene = createScene(), kernel = fakeKernel(), purge?: () => Promise<number>): Rig & Disposable {
  const purged: string[] = [];
  const sync = createSync({
    tables: scene.tables,
    maps: kernel.maps,
    proxies: kernel.proxiesFor(scene.tables),
    conntrack: { purge: purge ?? (async (addresses) => purged.push(...addresses.map(formatAddress))) },
    config: CONFIG,
  });
  const step = (): Promise<Awaited<ReturnType<Sync['apply']>>> => {
    scene.compute.step();
    return sync.apply();
  };
  return {
    scene,
    kernel,
    sync,
    purged,
    step,
    [Symbol.dispose]() {
      sync.close();
      scene[Symbol.dispose]();
    },
  };
}

const writes = (kernel: FakeKernel): number => Object.values(kernel.maps).reduce((sum, map) => sum + map.writes, 0);
const get = (kernel: FakeKernel, method = 'GET'): boolean =>
  kernel.passes({ from: CLIENT, to: WEB, port: 8080, method });

describe('sync', () => {
  it('brings a scene into the maps, and a change, and takes it out again', async () => {
    using r = rig();
    r.scene.tables.inputs.endpoints.set('kube-system/resolver', resolverEndpoint());
    r.scene.put(`${PODS}---${POLICY}`);
    const first = await r.step();
    assert.deepEqual(first, { revision: 2, complete: true, lateWorkers: [] });
    assert.equal(get(r.kernel), true);
    assert.equal(get(r.kernel, 'POST'), false);
    assert.equal(r.kernel.passes({ from: CLIENT, to: WEB, port: 81, method: 'GET' }), false);
    const frontend = r.kernel.maps.services.get({ ip: address('10.96.1.1'), port: 80, protocol: 6, slot: 0 });
    assert.equal(frontend?.count, 1);
    const slot = r.kernel.maps.services.get({ ip: address('10.96.1.1'), port: 80, protocol: 6, slot: 1 });
    assert.equal(r.kernel.maps.backends.get(slot?.backend ?? 0)?.port, 8080);

    r.scene.remove('policy', 'CiliumNetworkPolicy default/p');
    assert.equal((await r.step()).revision, 3);
    assert.equal(get(r.kernel, 'POST'), true);

    for (const key of ['default/web', 'default/client']) r.scene.remove('pod', key);
    r.scene.remove('service', 'default/web');
    await r.step();
    assert.deepEqual(r.purged.sort(), ['10.244.0.10', '10.244.0.11', 'fd00:10:244::a', 'fd00:10:244::b']);
    await setImmediate(); // the last entries go when nobody waits
    const { policy, endpoints, endpoint_addrs, backends } = r.kernel.maps;
    assert.deepEqual([policy.size, endpoints.size, endpoint_addrs.size, backends.size], [0, 0, 0, 4]);
    assert.equal(get(r.kernel), true, 'nobody here: not ours to decide');
  });

  it('writes nothing when nothing has changed, nor when a new agent finds everything right', async () => {
    using r = rig();
    r.scene.put(`${PODS}---${POLICY}`);
    await r.step();
    await setImmediate();
    const before = writes(r.kernel);
    assert.equal((await r.step()).revision, 2);
    assert.equal(writes(r.kernel), before);
    const next = rig(r.scene.restart(), r.kernel);
    assert.equal((await next.step()).complete, true);
    assert.equal(writes(r.kernel) - before, 1, 'only the revision: to a new agent all rulesets are new');
    assert.deepEqual(next.purged, []);
    next.sync.close();
  });

  it('raises the revision when only what a ruleset says has changed', async () => {
    using r = rig();
    r.scene.put(`${PODS}---${POLICY}`);
    const { revision } = await r.step();
    r.scene.put(POLICY.replace('GET', 'PUT'));
    assert.equal((await r.step()).revision, revision + 1);
    assert.equal(get(r.kernel), false);
    assert.equal(get(r.kernel, 'PUT'), true);
  });

  it('raises the revision in the first update, also if a dead agent had written all but that', async () => {
    using r = rig();
    r.scene.put(PODS);
    const { revision } = await r.step();
    const next = rig(r.scene.restart(), r.kernel);
    assert.equal((await next.step()).revision, revision + 1);
    assert.equal((await next.step()).revision, revision + 1, 'once');
    next.sync.close();
  });

  it('raises the revision for what it has written when the connections of a pod that is gone cannot be deleted', async () => {
    using r = rig(createScene(), fakeKernel(), () => Promise.reject(new Error('no purge')));
    r.scene.put(PODS);
    const { revision } = await r.step();
    r.scene.remove('pod', 'default/web');
    await r.step();
    await setImmediate();
    r.scene.put(`${PODS}---${POLICY.replace('app: web', 'app: client')}`);
    await assert.rejects(r.step(), /no purge/);
    assert.equal(r.sync.revision(), revision + 2);
  });

  it('prunes what a dead agent left', async () => {
    using r = rig();
    r.scene.put(`${PODS}---${POLICY}`);
    await r.step();
    const scene = r.scene.restart();
    scene.remove('pod', 'default/web');
    scene.remove('service', 'default/web');
    scene.remove('policy', 'CiliumNetworkPolicy default/p');
    const next = rig(scene, r.kernel);
    await next.step();
    assert.deepEqual(next.purged.sort(), ['10.244.0.10', 'fd00:10:244::a']);
    assert.equal(r.kernel.maps.endpoints.size, 1);
    assert.equal(r.kernel.maps.services.get({ ip: address('10.96.1.1'), port: 80, protocol: 6, slot: 1 }), undefined);
    next.sync.close();
  });

  const FULL = [
    { map: 'policy', capacity: 0, passes: false },
    { map: 'identities', capacity: 0, passes: false },
    { map: 'endpoints', capacity: 0, passes: false },
    { map: 'endpoint_addrs', capacity: 1, passes: false },
    { map: 'backends', capacity: 0, passes: true },
    { map: 'services', capacity: 1, passes: true },
  ] as const;
  for (const { map, capacity, passes } of FULL) {
    it(`counts and shows a full map "${map}", lets nothing more pass, and goes on when there is room`, async () => {
      using r = rig();
      r.kernel.interfaceOf = (ip) => ({ '10.244.0.10': 110, '10.244.0.11': 111 })[ip];
      r.scene.put(`${PODS}---${POLICY}`);
      r.kernel.maps[map].capacity = capacity;
      const result = await r.step();
      assert.equal(result.complete, false);
      const status = r.sync.maps().find((m) => m.name === map);
      assert.ok(status && status.errors > 0);
      assert.match(status.lastError, new RegExp(`^Cannot write map "${map}": all \\d+ entries are in use$`));
      assert.equal(get(r.kernel), passes);
      assert.equal(get(r.kernel, 'POST'), false);
      assert.ok(Object.values(r.sync.pending()).flat().length > 0);
      r.kernel.maps[map].capacity = 65536;
      assert.equal((await r.sync.apply()).complete, true);
      assert.equal(r.sync.maps().find((m) => m.name === map)?.lastError, '');
      assert.equal(get(r.kernel), true);
    });
  }

  for (const spare of [0, 1]) {
    it(`lets nothing pass that is denied now, with ${spare} free entries in the policy map`, async () => {
      using r = rig();
      const l4 = POLICY.replace(', rules: { http: [{ method: GET }] }', '');
      r.scene.put(`${PODS}---${l4}`);
      await r.step();
      assert.equal(get(r.kernel), true);
      r.kernel.maps.policy.capacity = r.kernel.maps.policy.size + spare;
      // A new agent finds the map that full, and the other policy needs more entries.
      const next = rig(r.scene.restart(), r.kernel);
      const ports = [8081, 8082, 8083].map((port) => `{ port: "${port}", protocol: TCP }`).join();
      const other = l4.replace('app: client', 'app: other').replace('{ port: "8080", protocol: TCP }', ports);
      next.scene.put(`${other}---\n${OTHER}`);
      const allowed = (): boolean =>
        r.kernel.maps.policy.entries().some(([key, value]) => key.port === 8080 && value.action === ACTION_ALLOW);
      await next.step();
      assert.equal(allowed(), false, 'denied, even if not all of the new policy fits');
      assert.equal((await next.sync.apply()).complete, false);
      assert.equal(allowed() || get(r.kernel), false);
      next.sync.close();
    });
  }

  it('tries again by itself', async () => {
    using scene = createScene();
    const kernel = fakeKernel();
    const retried = Promise.withResolvers<boolean>();
    const sync = createSync({
      tables: scene.tables,
      maps: kernel.maps,
      proxies: kernel.proxiesFor(scene.tables),
      conntrack: { purge: async () => 0 },
      config: CONFIG,
      onRetry: (result) => retried.resolve(result.complete),
    });
    scene.put(PODS);
    scene.compute.step();
    kernel.maps.endpoints.capacity = 0;
    await sync.apply();
    kernel.maps.endpoints.capacity = 10;
    const alive = setTimeout(() => retried.resolve(false), 10_000);
    assert.equal(await retried.promise, true);
    clearTimeout(alive);
    sync.close();
  });

  it('takes an endpoint out while its identity changes, and goes on with the pinned revision', async () => {
    using r = rig();
    r.scene.put(PODS);
    r.kernel.maps.node_config.set(0 as never, { ...CONFIG, revision: 41 } as never);
    const again = rig(r.scene, r.kernel);
    assert.equal((await again.step()).revision, 42);
    await setImmediate();
    const seen = new Set<string>();
    r.kernel.onStep = () => {
      const endpoint = r.kernel.maps.endpoint_addrs.get(WEB);
      const known = r.kernel.maps.identities.get({ prefixlen: 128, ip: WEB });
      if (endpoint) assert.equal(endpoint.identity, known?.identity);
      seen.add(endpoint ? `in as ${endpoint.identity}` : 'out');
    };
    r.scene.put('apiVersion: v1\nkind: Namespace\nmetadata: { name: default, labels: { a: b } }');
    await again.step();
    assert.ok(seen.has('out'));
    assert.equal(seen.size, 2, 'out, and in as the new one');
    assert.deepEqual(again.purged, [], 'its connections are its own');
    again.sync.close();
  });

  it('never points a reader at a backend that is not there', async () => {
    using r = rig();
    r.scene.put(PODS);
    const { services, backends } = r.kernel.maps;
    r.kernel.onStep = () => {
      for (const [key, value] of services.entries() as unknown as [
        { slot: number; ip: never; port: number; protocol: number },
        { count: number },
      ][]) {
        if (key.slot !== 0) continue;
        for (let slot = 1; slot <= value.count; slot++) {
          const at = services.get({ ...key, slot });
          assert.ok(at && backends.get(at.backend), `slot ${slot} of ${value.count}`);
        }
      }
    };
    await r.step();
    const web = (n: number): string => PODS.split('---')[0]?.replace('name: web', `name: web${n}`) ?? '';
    for (let n = 0; n < 30; n++) {
      if (n % 3 === 2) r.scene.remove('pod', `default/web${n - 1}`);
      else r.scene.put(web(n));
      if (n % 7 === 0) r.scene.remove('pod', `default/web${n - 7}`);
      await r.step();
    }
    assert.ok(backends.size > 5);
  });
});

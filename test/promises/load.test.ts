// The proxy under load: changed policies, many connections, slow peers.
//
//   client, slow ── node (2 workers) ── server :80

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  apps,
  type KubeObject,
  type LoadRequest,
  needsRoot,
  parseLoad,
  pod,
  policy,
  ports,
  type Running,
  startProgram,
  startTestMesh,
  type TestMesh,
} from '../mesh.ts';

/** Both families meet each of them. */
const FLIPS = 100;
const LAYER_FLIPS = 24;
const CONNECTIONS = 2_000;
/** Readers, and as many senders; half of each family. */
const SLOW_CONNECTIONS = 20;
/** What slow peers may cost all workers together: 20 × 2 buffers and what the runtime takes. */
const SLOW_MEMORY_MIB = 64;

const LAYERS = ['http', 'l4', 'none'] as const;
type Layer = (typeof LAYERS)[number];
const FAMILIES = [4, 6] as const;

/** Port 80 is for the pods that load it; what else a policy says, `toPorts` says. */
const allowPorts = (toPorts: readonly KubeObject[]): readonly KubeObject[] => [
  policy('p', 'server', { ingress: [{ fromEndpoints: apps('client', 'slow'), toPorts }] }),
];
const allow = (...paths: readonly string[]): readonly KubeObject[] =>
  allowPorts(
    ports(
      [80],
      paths.map((path) => ({ path })),
    ),
  );
/** Policies for the server by what they look at. 'none': it has none, so everything may. */
const OF_LAYER: Readonly<Record<Layer, readonly KubeObject[]>> = {
  http: allow('/both'),
  l4: allowPorts(ports([80])),
  none: [],
};

/** What was in force for how long, for sure: from when it was reported until the next one was asked for. */
interface Window<What> {
  readonly inForce: What;
  readonly from: number;
  readonly until: number;
}

describe('the proxy under load', { skip: needsRoot }, () => {
  let mesh: TestMesh;
  const targets: string[] = []; // of FAMILIES
  before(async () => {
    mesh = await startTestMesh([pod('client'), pod('slow'), pod('server', ['server.ts', '80'])]);
    for (const family of FAMILIES) targets.push(await mesh.address('server', family));
  });
  after(() => mesh?.[Symbol.asyncDispose]());

  const url = (target: string): string => `http://${target.includes(':') ? `[${target}]` : target}`;
  /** Puts `steps` in force one after another, each for `holdMs` at least, while loads run for both families. */
  const flip = async <What>(options: {
    readonly steps: readonly { readonly what: What; readonly policies: readonly KubeObject[] }[];
    readonly holdMs: number;
    readonly load: readonly string[];
  }): Promise<{ windows: Window<What>[]; requests: LoadRequest[][] }> => {
    const { steps, holdMs, load } = options;
    const start = (target: string): Running =>
      startProgram(mesh, 'client', ['load.ts', '--target', url(target), '--seconds', '120', ...load]);
    await mesh.setPolicies(steps[0]?.policies ?? []);
    const loads = targets.map(start);
    await using four = loads[0] as Running;
    await using six = loads[1] as Running;
    const windows: Window<What>[] = [];
    let from = Date.now();
    for (const [index, { what }] of steps.entries()) {
      await sleep(holdMs);
      windows.push({ inForce: what, from, until: Date.now() });
      const next = steps[index + 1];
      if (next) await mesh.setPolicies(next.policies);
      from = Date.now();
    }
    await Promise.all([four[Symbol.asyncDispose](), six[Symbol.asyncDispose]()]);
    return { windows, requests: loads.map(({ seen }) => parseLoad(seen)) };
  };
  /** What the changes brought that happened during a request. */
  const changesMet = <What>(windows: readonly Window<What>[], { start, end }: LoadRequest): What[] =>
    windows
      .slice(1)
      .flatMap(({ inForce, from }, before) => (start < from && end > (windows[before]?.until ?? 0) ? [inForce] : []));
  const windowOf = <What>(windows: readonly Window<What>[], { start, end }: LoadRequest): Window<What> | undefined =>
    windows.find(({ from, until }) => start >= from && end <= until);

  test(`a policy flipped ${FLIPS} times: every verdict is that of the old or the new one`, async () => {
    // /both is allowed by either policy and /neither by none: what they get is certain also while a change is met.
    const steps = Array.from({ length: FLIPS + 1 }, (_, step) => {
      const what = step % 2 === 0 ? '/a' : '/b';
      return { what, policies: allow('/both', what) };
    });
    const load = ['--paths', '/a,/b,/both,/neither', '--rate', '200', '--connections', '8'];
    const { windows, requests } = await flip({ steps, holdMs: 100, load });
    for (const [index, ofFamily] of requests.entries()) {
      const family = `IPv${FAMILIES[index]}`;
      assert.ok(ofFamily.length > 1_000, `${family}: ${ofFamily.length} requests`);
      const isWrong = (request: LoadRequest): boolean => {
        const { path, outcome } = request;
        if (path === '/both') return outcome !== '200';
        if (path === '/neither') return outcome !== '403';
        const window = windowOf(windows, request);
        if (window === undefined) return outcome !== '200' && outcome !== '403'; // it met a change: either is right
        return outcome !== (path === window.inForce ? '200' : '403');
      };
      assert.deepEqual(ofFamily.filter(isWrong), [], family);
      const judged = ofFamily.filter(({ path }) => path === '/a' || path === '/b').filter((r) => windowOf(windows, r));
      assert.ok(judged.length > 250, `${family}: ${judged.length} requests between two changes`);
    }
  });

  test(`from HTTP rules to ports to no policy and back, ${LAYER_FLIPS} times: what both allow is served`, async () => {
    // Each of the six changes in turn. Fresh connections: one from before HTTP rules came is reset by them.
    const order: readonly Layer[] = ['http', 'l4', 'none', 'http', 'none', 'l4'];
    const steps = Array.from({ length: LAYER_FLIPS + 1 }, (_, step) => {
      const what = order[step % order.length] as Layer;
      return { what, policies: OF_LAYER[what] };
    });
    const load = ['--paths', '/both,/http-denies', '--rate', '60', '--connections', '8', '--fresh'];
    const { windows, requests } = await flip({ steps, holdMs: 400, load });
    for (const [index, ofFamily] of requests.entries()) {
      const family = `IPv${FAMILIES[index]}`;
      const wrong = ofFamily.filter((request) => {
        const { path, outcome } = request;
        const window = windowOf(windows, request);
        if (window === undefined) {
          // HTTP rules reset a connection from before them. No other change costs what both sides of it allow anything.
          const isReset = outcome === 'ECONNRESET' && changesMet(windows, request).includes('http');
          return !isReset && outcome !== '200' && (path === '/both' || outcome !== '403');
        }
        return outcome !== (path === '/both' || window.inForce !== 'http' ? '200' : '403');
      });
      assert.deepEqual(wrong, [], family);
      for (const layer of LAYERS) {
        const judged = ofFamily.filter((request) => windowOf(windows, request)?.inForce === layer);
        assert.ok(judged.length > 50, `${family}: ${judged.length} requests under ${layer}`);
      }
    }
  });

  for (const family of FAMILIES) {
    test(`IPv${family}: ${CONNECTIONS} connections at once are all served`, async () => {
      await mesh.setPolicies(allow('/many'));
      const host = await mesh.address('server', family);
      await using many = startProgram(mesh, 'client', ['many.ts', host, '80', String(CONNECTIONS)]);
      await many.ended;
      assert.deepEqual(many.seen, [String(2 * CONNECTIONS)]);
    });
  }

  test('slow readers and slow senders stall nobody and hold bounded memory', async () => {
    await mesh.setPolicies(allow('/.*'));
    const { workers } = await mesh.status();
    const memory = (): number => workers.reduce((sum, { pid }) => sum + residentMib(pid), 0);
    const before = memory();
    await using stack = new AsyncDisposableStack();
    const slow = targets.flatMap((target) =>
      ['reader', 'sender'].map((kind) => {
        const count = String(SLOW_CONNECTIONS / FAMILIES.length);
        return stack.use(startProgram(mesh, 'slow', ['slow.ts', kind, target, '80', count]));
      }),
    );
    await sleep(3_000);
    const loads = targets.map((target) => {
      const args = ['--target', url(target), '--rate', '50', '--connections', '4', '--seconds', '5'];
      return stack.use(startProgram(mesh, 'client', ['load.ts', ...args]));
    });
    for (const [index, load] of loads.entries()) {
      await load.ended;
      const requests = parseLoad(load.seen);
      assert.ok(requests.length > 150, `IPv${FAMILIES[index]}: ${requests.length} requests`);
      assert.deepEqual(
        requests.filter(({ outcome, start, end }) => outcome !== '200' || end - start > 2_000),
        [],
      );
    }
    const grown = memory() - before;
    assert.ok(grown < SLOW_MEMORY_MIB, `workers grew by ${grown} MiB`);
    for (const { seen } of slow) assert.deepEqual(seen, ['started'], 'the slow ones are still served');
  });
});

function residentMib(pid: number): number {
  const kib = /^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) / 1024;
}

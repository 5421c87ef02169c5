// Sync: carries the desired tables out, into kernel maps and proxies. Nothing else writes them.
//
// Order of one update:
//  1. Services lose backends that are no longer wanted: nobody is sent to a pod that is about to go.
//  2. Endpoints that go or change are taken out, addresses whose identity changes are closed, connections of pods that
//     are gone are forgotten. What is out takes no part in what follows.
//  3. The proxies get rulesets that they do not know, before an entry can name them.
//  4. Policy gets narrower (transition.ts, stage one), for every subject and both directions.
//  5. The proxies get what has changed in rulesets they know: new rules for what stays steered, and for connections
//     that stay with the proxy after their port stopped asking for it.
//  6. Policy gets wider (stage two), unless something in stage four could not be written.
//  7. Addresses get their identities, endpoints are let in: each only if its policy is complete in the map.
//  8. Services gain backends.
//  9. The revision grows: from the next packet on, connections that exist are asked again. It grows for a change of
//     rulesets alone too: people and tests wait for it.
// 10. The proxies forget rulesets of subjects that are gone.
//
// A proxy that does not acknowledge in time does not stop an update: a ruleset that it does not know denies.

import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeConfig } from '#bpf/abi.ts';
import { MAPS } from '#bpf/abi.ts';
import type { DatapathMaps } from '#bpf/maps.ts';
import type { Tables } from '../tables.ts';
import type { Conntrack } from './conntrack.ts';
import { createEndpointSync } from './endpoints-sync.ts';
import { type MapStatusRow, type MirroredMap, mirrorMap, type TypedMap } from './map.ts';
import { createPolicySync } from './policy-sync.ts';
import { createServiceSync } from './services-sync.ts';

/** How rulesets reach the proxies; agent/control implements it. */
export interface RulesetPublisher {
  /**
   * Sends what has changed since it was last sent: 'new' only rulesets that no worker was ever told of, 'changed' all
   * but removals, 'removed' the removals. Resolves with the slots of workers that did not acknowledge in time.
   */
  publish(what: 'new' | 'changed' | 'removed'): Promise<readonly number[]>;
}

export type SyncMaps = {
  readonly [N in
    | 'policy'
    | 'identities'
    | 'endpoints'
    | 'endpoint_addrs'
    | 'services'
    | 'backends'
    | 'node_config']: Omit<DatapathMaps[N], 'fd' | 'count'>;
};

export interface ApplyResult {
  /** Policy revision that is in force. */
  readonly revision: number;
  /** Everything that is wanted is in force. Otherwise sync tries again by itself. */
  readonly complete: boolean;
  /** Worker slots that did not acknowledge in time. */
  readonly lateWorkers: readonly number[];
}

export interface Sync {
  /**
   * Carries out what the desired tables say now; resolves when it is in force. Calls wait for each other. Rows that
   * change while an update is being carried out belong to the next one, which is the caller's to ask for.
   */
  apply(): Promise<ApplyResult>;
  /** Changes the node's settings in the kernel, e.g. the number of worker slots. */
  configure(config: Partial<Omit<NodeConfig, 'revision'>>): void;
  revision(): number;
  maps(): readonly MapStatusRow[];
  /** Rows that are not in force as wanted, by table. */
  pending(): Readonly<Record<'policy' | 'endpoints' | 'services', readonly string[]>>;
  close(): void;
}

const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 30_000;

/** Sync of `tables` into `maps` and `proxies`. What the maps hold counts as in force until the first apply. */
export function createSync(options: {
  readonly tables: Tables;
  readonly maps: SyncMaps;
  readonly proxies: RulesetPublisher;
  readonly conntrack: Pick<Conntrack, 'purge'>;
  readonly config: Omit<NodeConfig, 'revision'>;
  /** Hears of retries that sync makes by itself. */
  readonly onRetry?: (result: ApplyResult) => void;
}): Sync {
  const { desired } = options.tables;
  const { proxies, conntrack } = options;
  const maps = mirrorMaps(options.maps);
  const policy = createPolicySync(desired.policy, maps.policy);
  const endpoints = createEndpointSync(desired, maps);
  const services = createServiceSync(desired, maps);
  const closing = new AbortController();
  const retry = createRetry(closing.signal);
  let config: NodeConfig = { ...options.config, revision: maps.node.get(0)?.revision ?? 0 };
  let queue: Promise<unknown> = Promise.resolve();

  // Revision 0 would look like "never decided" in a fresh conntrack entry.
  const setConfig = (next: NodeConfig): void => {
    config = { ...next, revision: next.revision === 0 ? 1 : next.revision };
    maps.node.set(0, config);
  };
  setConfig(config);

  let rulesChanged = false;
  const stopRules = desired.rulesets.subscribe(() => {
    rulesChanged = true;
  });
  // Writes so far that may have changed a verdict.
  const decisive = (): number =>
    [maps.policy, maps.identities, maps.endpoints, maps.endpointAddrs]
      .map((map) => map.status())
      .reduce((sum, { updates, deletes }) => sum + updates + deletes, 0);

  const update = async (): Promise<ApplyResult> => {
    for (const map of Object.values(maps)) map.settle();
    const late = new Set<number>();
    const publish = async (what: 'new' | 'changed' | 'removed'): Promise<void> => {
      for (const slot of await proxies.publish(what)) late.add(slot);
    };
    services.shrink(); // 1
    const before = decisive();
    const rules = rulesChanged; // those that change from here on may be published late: the next update's
    rulesChanged = false;
    await conntrack.purge(endpoints.evict()); // 2
    policy.plan();
    await publish('new'); // 3
    const narrowed = policy.tighten(); // 4
    await publish('changed'); // 5
    if (narrowed) policy.loosen(); // 6
    endpoints.admit(policy.isComplete); // 7
    services.grow(); // 8
    if (decisive() !== before || rules) setConfig({ ...config, revision: (config.revision + 1) >>> 0 }); // 9
    await publish('removed'); // 10
    const complete = policy.pending().length + endpoints.pending().length + services.pending().length === 0;
    return { revision: config.revision, complete, lateWorkers: [...late] };
  };
  const apply = (): Promise<ApplyResult> => {
    const run = queue.then(async () => {
      const result = await update();
      if (result.complete) retry.reset();
      else retry.later(async () => options.onRetry?.(await apply()));
      return result;
    });
    queue = run.catch(() => undefined);
    return run;
  };

  return {
    apply,
    configure: (next) => setConfig({ ...config, ...next }),
    revision: () => config.revision,
    maps: () => Object.values(maps).map((map) => map.status()),
    pending: () => ({ policy: policy.pending(), endpoints: endpoints.pending(), services: services.pending() }),
    close() {
      closing.abort();
      stopRules();
      policy.close();
      endpoints.close();
      services.close();
    },
  };
}

// One retry at a time, ever later, until something succeeds.
function createRetry(signal: AbortSignal): { later(run: () => Promise<unknown>): void; reset(): void } {
  let waiting = false;
  let failures = 0;
  const wait = async (run: () => Promise<unknown>): Promise<void> => {
    waiting = true;
    const delay = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** failures++) * (0.75 + Math.random() / 2);
    try {
      await sleep(delay, undefined, { signal, ref: false });
    } catch {
      return; // closed
    } finally {
      waiting = false;
    }
    await run();
  };
  return {
    later(run) {
      if (!waiting && !signal.aborted) void wait(run);
    },
    reset() {
      failures = 0;
    },
  };
}

type Mirrored<M> = M extends Omit<TypedMap<infer K, infer V>, never> ? MirroredMap<K, V> : never;

function mirrorMaps(maps: SyncMaps): {
  readonly policy: Mirrored<SyncMaps['policy']>;
  readonly identities: Mirrored<SyncMaps['identities']>;
  readonly endpoints: Mirrored<SyncMaps['endpoints']>;
  readonly endpointAddrs: Mirrored<SyncMaps['endpoint_addrs']>;
  readonly services: Mirrored<SyncMaps['services']>;
  readonly backends: Mirrored<SyncMaps['backends']>;
  readonly node: Mirrored<SyncMaps['node_config']>;
} {
  return {
    policy: mirrorMap('policy', maps.policy, MAPS.policy),
    identities: mirrorMap('identities', maps.identities, MAPS.identities),
    endpoints: mirrorMap('endpoints', maps.endpoints, MAPS.endpoints),
    endpointAddrs: mirrorMap('endpoint_addrs', maps.endpoint_addrs, MAPS.endpoint_addrs),
    services: mirrorMap('services', maps.services, MAPS.services),
    backends: mirrorMap('backends', maps.backends, MAPS.backends),
    node: mirrorMap('node_config', maps.node_config, MAPS.node_config),
  };
}

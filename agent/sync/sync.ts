// Sync: carries the desired tables out, into kernel maps and proxies. Nothing else writes them.
//
// Order of one update:
//  1. Services lose backends that are no longer wanted: nobody is sent to a pod that is about to go.
//  2. Endpoints that go or change are taken out, their addresses are closed. What is out takes no part in what follows. At
//     the same moment it is planned what else is to be done: rows that change from here on belong to the next update. Who
//     gets the address of a pod that is gone waits until nobody remembers its connections.
//  3. The proxies get rulesets that they do not know, before an entry can name them.
//  4. Peers get the sets that they belong to, and policy gets narrower (policy-sync.ts, stage one), for every subject and
//     both directions. If the node itself comes under policy, the kernel is told so when its entries are there.
//  5. The proxies get what has changed in rulesets they know: new rules for what stays steered, and for connections
//     that stay with the proxy after their port stopped asking for it.
//  6. Prefixes that are not endpoints' move from their old identities to their new ones (addresses-sync.ts).
//  7. Policy gets wider (stage two), unless something in 4 could not be written, or something in 6 that this would
//     concern.
//  8. Addresses of endpoints get their identities, endpoints are let in: each only if its policy is complete in the map.
//  9. Services gain backends.
// 10. The revision grows: from the next packet on, connections that exist are asked again. It grows for a change of
//     rulesets alone too: people and tests wait for it. And in an agent's first update, whatever that writes: the one
//     before may have died between what it wrote and this.
// 11. The proxies forget rulesets of subjects that are gone. When nothing else is to be done, so do the maps what no
//     subject names any more, and connections of pods that are gone (purges.ts).
//
// A proxy that does not acknowledge in time does not stop an update: a ruleset that it does not know denies.

import {
  MAPS,
  type NodeConfig,
  type PeerSetsKey,
  type PeerSetsValue,
  type PolicyKey,
  type PolicyValue,
  type SubjectValue,
} from '#bpf/abi.ts';
import type { DatapathMaps } from '#bpf/maps.ts';
import type { Address } from '#common/ip.ts';
import { createTable, type ReadonlyTable } from '#common/table.ts';
import { HOST_ENDPOINT, type Tables } from '../tables.ts';
import type { Conntrack } from './conntrack.ts';
import { createEndpointSync } from './endpoints-sync.ts';
import { hostEnforcement, withHostFlags } from './host-flags.ts';
import { createLifelineSync } from './lifelines-sync.ts';
import { type CountedMap, countMap, type MapStatusRow, type MirroredMap, mirrorMap, type TypedMap } from './map.ts';
import { createPolicySync } from './policy-sync.ts';
import { createPurges } from './purges.ts';
import { createRetry } from './retry.ts';
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
    | 'subjects'
    | 'peer_sets'
    | 'policy_counters'
    | 'lifelines'
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
  /** Changes the node's settings in the kernel, e.g. the number of worker slots; for existing connections too. */
  configure(config: Partial<Omit<NodeConfig, 'revision'>>): void;
  revision(): number;
  maps(): readonly MapStatusRow[];
  /** Rows that are not in force as wanted, by table. */
  pending(): Readonly<Record<'policy' | 'endpoints' | 'services' | 'lifelines', readonly string[]>>;
  close(): void;
}

/** Sync of `tables` into `maps` and `proxies`. What the maps hold counts as in force until the first apply. */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: the numbered order of an update is read in one piece
export function createSync(options: {
  readonly tables: Tables;
  readonly maps: SyncMaps;
  readonly proxies: RulesetPublisher;
  readonly conntrack: Pick<Conntrack, 'purge'>;
  readonly config: Omit<NodeConfig, 'revision'>;
  /** Servers that the node asks for names: it may do so whatever its own policy says. */
  readonly nameServers?: ReadonlyTable<Address>;
  /** Hears of retries that sync makes by itself. */
  readonly onRetry?: (result: ApplyResult) => void;
}): Sync {
  const { desired } = options.tables;
  const { proxies } = options;
  const maps = mirrorMaps(options.maps);
  const policy = createPolicySync(desired, { ...maps, counters: options.maps.policy_counters });
  const endpoints = createEndpointSync(desired, maps);
  const services = createServiceSync(desired, maps);
  const lifelines = createLifelineSync(desired, maps.lifelines, options.nameServers ?? createTable('name servers'));
  const purges = createPurges(options.conntrack);
  const closing = new AbortController();
  const retry = createRetry(closing.signal);
  const inKernel = maps.node.get(0);
  let config: NodeConfig = withHostFlags(
    { ...options.config, revision: inKernel?.revision ?? 0 },
    hostEnforcement(inKernel?.flags ?? 0),
  );
  let queue: Promise<unknown> = Promise.resolve();

  // Revision 0 would look like "never decided" in a fresh conntrack entry.
  const setConfig = (next: NodeConfig): void => {
    config = { ...next, revision: next.revision === 0 ? 1 : next.revision };
    maps.node.set(0, config);
  };
  setConfig(config);
  const raiseRevision = (): void => setConfig({ ...config, revision: (config.revision + 1) >>> 0 });

  let isFirst = true;
  let rulesChanged = false;
  const stopRules = desired.rulesets.subscribe(() => {
    rulesChanged = true;
  });
  // Changes whenever something was written that may have changed a verdict.
  const decisive = (): string => {
    const deciding = [
      maps.policy,
      maps.subjects,
      maps.peerSets,
      maps.identities,
      maps.endpoints,
      maps.endpointAddrs,
      maps.lifelines,
    ];
    const writes = deciding.map((map) => map.status()).reduce((sum, row) => sum + row.updates + row.deletes, 0);
    return `${writes} ${config.flags}`;
  };

  const update = async (): Promise<ApplyResult> => {
    for (const map of Object.values(maps)) map.settle();
    const late = new Set<number>();
    const publish = async (what: 'new' | 'changed' | 'removed'): Promise<void> => {
      for (const slot of await proxies.publish(what)) late.add(slot);
    };
    services.shrink(); // 1
    policy.clean();
    const before = decisive();
    const rules = rulesChanged;
    rulesChanged = false;
    const host = {
      now: hostEnforcement(config.flags),
      next: desired.enforcement.get(HOST_ENDPOINT) ?? { ingress: false, egress: false },
    };
    try {
      purges.note(endpoints.evict()); // 2
      const asked = endpoints.askedIdentities();
      policy.plan({ host, ...endpoints.prefixes, isAsked: (identity) => asked.has(identity) });
      lifelines.extend();
      await purges.settled(endpoints.arriving());
      await publish('new'); // 3
      const narrowed = policy.tighten(); // 4
      const { now, next } = host;
      setConfig(withHostFlags(config, { ingress: now.ingress || next.ingress, egress: now.egress || next.egress }));
      await publish('changed'); // 5
      const moved = narrowed && endpoints.prefixes.move(policy.isNarrower); // 6
      if (moved) {
        setConfig(withHostFlags(config, next)); // 7
        policy.loosen();
        lifelines.shorten();
      }
      endpoints.admit(policy.isComplete); // 8
      services.grow(); // 9
    } finally {
      if (isFirst || rules || decisive() !== before) raiseRevision(); // 10, also for what was written before something failed
      isFirst = false;
    }
    await publish('removed'); // 11
    purges.begin();
    const complete = Object.values(pending()).flat().length === 0;
    if (complete) for (const map of Object.values(maps)) map.settle(); // what failed at first has found room
    return { revision: config.revision, complete, lateWorkers: [...late] };
  };
  const pending = () => ({
    policy: policy.pending(),
    endpoints: endpoints.pending(),
    services: services.pending(),
    lifelines: lifelines.pending(),
  });
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
    configure(next) {
      // Settings first: whoever reads the new revision goes by them.
      setConfig(withHostFlags({ ...config, ...next }, hostEnforcement(config.flags)));
      raiseRevision();
    },
    revision: () => config.revision,
    maps() {
      const { text, count } = policy.overflow();
      return Object.values(maps)
        .map((map) => map.status())
        .map((row) =>
          row.name === 'policy' ? { ...row, errors: row.errors + count, lastError: row.lastError || text } : row,
        );
    },
    pending,
    close() {
      closing.abort();
      stopRules();
      policy.close();
      endpoints.close();
      services.close();
      lifelines.close();
    },
  };
}

type Mirrored<M> = M extends Omit<TypedMap<infer K, infer V>, never> ? MirroredMap<K, V> : never;

function mirrorMaps(maps: SyncMaps): {
  readonly policy: CountedMap<PolicyKey, PolicyValue>;
  readonly subjects: CountedMap<number, SubjectValue>;
  readonly peerSets: CountedMap<PeerSetsKey, PeerSetsValue>;
  readonly lifelines: Mirrored<SyncMaps['lifelines']>;
  readonly identities: Mirrored<SyncMaps['identities']>;
  readonly endpoints: Mirrored<SyncMaps['endpoints']>;
  readonly endpointAddrs: Mirrored<SyncMaps['endpoint_addrs']>;
  readonly services: Mirrored<SyncMaps['services']>;
  readonly backends: Mirrored<SyncMaps['backends']>;
  readonly node: Mirrored<SyncMaps['node_config']>;
} {
  return {
    policy: countMap('policy', maps.policy), // editions.ts knows what is in it
    subjects: countMap('subjects', maps.subjects), // subject-pointers.ts of this
    peerSets: countMap('peer_sets', maps.peer_sets), // and peer-sets-sync.ts of this
    lifelines: mirrorMap('lifelines', maps.lifelines, MAPS.lifelines),
    identities: mirrorMap('identities', maps.identities, MAPS.identities),
    endpoints: mirrorMap('endpoints', maps.endpoints, MAPS.endpoints),
    endpointAddrs: mirrorMap('endpoint_addrs', maps.endpoint_addrs, MAPS.endpoint_addrs),
    services: mirrorMap('services', maps.services, MAPS.services),
    backends: mirrorMap('backends', maps.backends, MAPS.backends),
    node: mirrorMap('node_config', maps.node_config, MAPS.node_config),
  };
}

// Compute: hears what changed in the inputs, and on `step` brings the desired tables up to date. No clock, no network;
// the only thing it does besides is to remember which number it gave to what.

import { WeirError } from '#common/errors.ts';
import { type Identity, RESERVED } from '#common/ids.ts';
import type { ReadonlyTable } from '#common/table.ts';
import type { NodeLayout } from '../layout.ts';
import { createPolicyCompute } from '../policy/compute.ts';
import { WATCH } from '../policy/world.ts';
import { createServiceCompute } from '../services/compute.ts';
import { HOST_ENDPOINT, type Tables } from '../tables.ts';
import { createAddresses } from './addresses.ts';
import { isApiSlice } from './api-servers.ts';
import { createEndpointCompute } from './endpoints.ts';
import { createIdentities } from './identities.ts';
import { createNodeCompute } from './nodes.ts';
import { createNumbers } from './numbers.ts';
import { createPrefixes } from './prefixes.ts';
import { DEFAULT_SETTINGS, type PolicySettings } from './settings.ts';
import { createStateWriter, readState } from './state.ts';
import { createWorld } from './world.ts';

/** Something that a user's object asked for and did not get, after it was read without fault. */
export interface ComputeProblem {
  /** "Service namespace/name", "Pod namespace/name" or "Node". */
  readonly object: string;
  readonly reason: string;
}

export interface Compute {
  /**
   * Applies all changes of the inputs since the last call to the desired tables. Returns whether a desired row changed.
   * Throws when the numbers cannot be written to disk: then nothing may be carried out.
   */
  step(): boolean;
  problems(): readonly ComputeProblem[];
  identityOf(endpoint: string): Identity | undefined;
  /** How many endpoints of this node the policy (objectKey) selects as subjects, the node itself included. */
  selectedBy(policy: string): number;
  /** Numbers in use and how many there are, for metrics. */
  usage(): Readonly<Record<string, { readonly used: number; readonly capacity: number }>>;
  close(): void;
}

export interface ComputeOptions {
  readonly layout: Pick<NodeLayout, 'addresses'>;
  readonly statePath: string;
  readonly settings?: PolicySettings;
  /** Entries that one subject, and all together, may have. */
  readonly limits?: { readonly subject: number; readonly all: number };
}

/**
 * Compute over `tables`. Rows that are in the inputs already count as changes for the first step. Throws a WeirError if
 * the state file is there and cannot be used.
 */
export function createCompute(tables: Tables, options: ComputeOptions): Compute {
  const { desired } = tables;
  const state = readState(options.statePath);
  if (!state.ok) throw new WeirError('WEIR_STATE_UNREADABLE', state.error);
  const numbers = createNumbers(options.statePath, state.value);
  let changed = false;
  const note = (): void => {
    changed = true;
  };
  const stops: (() => void)[] = Object.values(desired).map((table) => table.subscribe(note));
  const parts = createParts(tables, { ...options, numbers, remembered: state.value?.clusterIps ?? {} });
  stops.push(...subscribe(tables, parts));
  const { endpoints, policy, nodes, prefixes, services } = parts;

  const writer = createStateWriter(options.statePath);
  let savedIps = -1;
  let hasFailed = false;
  const save = (): void => {
    const isNew = services.version !== savedIps;
    const changes = { ...numbers.takeChanges(), ...(isNew ? { clusterIps: services.clusterIps() } : {}) };
    if (Object.keys(changes).length === 0 && !hasFailed) return;
    hasFailed = true;
    writer.write(changes, () => ({ ...numbers.state(), clusterIps: services.clusterIps() }));
    hasFailed = false;
    savedIps = services.version;
  };
  return {
    step() {
      // Pods first: rules are read with the port names that there are. Then what rules mention becomes identities.
      endpoints.recompute();
      policy.compile();
      nodes.recompute();
      prefixes.recompute();
      endpoints.enforce(policy.recompute());
      writeHost(tables, policy, (options.settings ?? DEFAULT_SETTINGS).audit);
      services.recompute();
      save();
      const result = changed;
      changed = false;
      return result;
    },
    problems: () => [
      ...services.problems().map(({ service, reason }) => ({ object: `Service ${service}`, reason })),
      ...endpoints.problems().map(({ pod, reason }) => ({ object: `Pod ${pod}`, reason })),
      ...nodes.problems().map(({ node, reason }) => ({ object: `Node ${node}`, reason })),
      ...prefixes.problems().map(({ prefix, reason }) => ({ object: `Prefix ${prefix}`, reason })),
      ...policy.problems().map((reason) => ({ object: 'Node', reason })),
    ],
    identityOf: endpoints.identityOf,
    selectedBy(key) {
      let count = 0;
      for (const subject of policy.selectedBy(key)) {
        count += subject === RESERVED.host ? 1 : endpoints.endpointsOf(subject);
      }
      return count;
    },
    usage: numbers.usage,
    close() {
      for (const stop of stops) stop();
    },
  };
}

type Parts = ReturnType<typeof createParts>;

function createParts(
  { inputs, desired }: Tables,
  options: ComputeOptions & {
    readonly numbers: ReturnType<typeof createNumbers>;
    readonly remembered: Readonly<Record<string, readonly string[]>>;
  },
) {
  const { numbers, remembered, settings = DEFAULT_SETTINGS, limits } = options;
  const layout = options.layout.addresses;
  const { allocators } = numbers;
  // Rules mention prefixes and nodes, which become identities, which rules are about: the ring is closed here.
  const world = createWorld(
    inputs,
    { mark: (...to) => prefixes.mark(...to), unmark: (...to) => prefixes.unmark(...to) },
    {
      onChange: (watch) => policy.changed(watch),
      onNodeLabel: (key, isMentioned) => nodes.mention(key, isMentioned),
    },
  );
  const policy = createPolicyCompute(desired, { ...allocators, world, ...(limits ? { limits } : {}) });
  const addresses = createAddresses(desired.addresses);
  const identities = createIdentities(desired.identities, policy, {
    cluster: allocators.identities,
    prefix: allocators.prefixes,
    node: allocators.nodes,
  });
  const prefixes = createPrefixes(identities, addresses);
  const enforced = settings.enforcement !== 'never';
  const nodes = createNodeCompute(inputs, { identities, addresses, prefixes, policy, layout, enforced });
  const services = createServiceCompute(desired, allocators, { addresses: layout, remembered });
  const filter = settings.labels;
  const endpoints = createEndpointCompute(inputs, desired, {
    policy,
    identities,
    addresses,
    filter,
    mode: settings.enforcement,
    audit: settings.audit,
  });
  return { world, policy, prefixes, nodes, services, endpoints };
}

/** Tells the parts of every row that is there, and of every later change. */
function subscribe({ inputs }: Tables, { endpoints, services, policy, world, nodes }: Parts): (() => void)[] {
  return [
    follow(inputs.namespaces, (key) => endpoints.touchNamespace(key)),
    follow(inputs.endpoints, (key, _, after) => {
      endpoints.local.touch(key);
      services.setEndpoint(key, after);
    }),
    follow(inputs.remotePods, (key) => endpoints.remote.touch(key)),
    follow(inputs.policies, (key, _, after) => policy.setPolicy(key, after)),
    follow(inputs.services, (key, _, after) => {
      services.setService(key, after);
      policy.changed(WATCH.service(key));
      policy.changed(WATCH.services);
    }),
    follow(inputs.cidrGroups, world.setGroup),
    follow(inputs.endpointSlices, (_, before, after) => {
      world.setSlice(before, after);
      if ([before, after].some((slice) => slice && isApiSlice(slice))) nodes.touchApiServers();
    }),
    follow(inputs.nodes, (key) => nodes.touch(key)),
    follow(inputs.names, (_, before, after) => world.setName(before, after)),
  ];
}

function follow<Row>(
  table: ReadonlyTable<Row>,
  apply: (key: string, before: Row | undefined, after: Row | undefined) => void,
): () => void {
  for (const [key, row] of table.entries()) apply(key, undefined, row);
  return table.subscribe(({ key, before, after }) => apply(key, before, after));
}

/** The node's own row, as long as a policy selects the node. */
function writeHost({ desired }: Tables, policy: Parts['policy'], audit: boolean): void {
  if (!policy.nodeIsSubject) {
    desired.enforcement.delete(HOST_ENDPOINT);
    return;
  }
  const { ingress, egress } = policy.enforced(RESERVED.host);
  const before = desired.enforcement.get(HOST_ENDPOINT);
  if (before?.ingress === ingress && before.egress === egress) return;
  desired.enforcement.set(HOST_ENDPOINT, { endpoint: HOST_ENDPOINT, identity: RESERVED.host, ingress, egress, audit });
}

// Compute: hears what changed in the inputs, and on `step` brings the desired tables up to date. No clock, no network;
// the only thing it does besides is to remember which number it gave to what.

import { WeirError } from '#common/errors.ts';
import { cookie, type Identity, identity } from '#common/ids.ts';
import { type Allocator, createAllocator } from '../identity/allocator.ts';
import type { NodeLayout } from '../layout.ts';
import { createPolicyCompute } from '../policy/compute.ts';
import { createServiceCompute } from '../services/compute.ts';
import type { Tables } from '../tables.ts';
import { createEndpointCompute } from './endpoints.ts';
import { readState, type State, writeState } from './state.ts';

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
  /** How many endpoints of this node the policy "namespace/name" selects as subjects. */
  selectedBy(policy: string): number;
  /** Numbers in use and how many there are, for metrics. */
  usage(): Readonly<Record<string, { readonly used: number; readonly capacity: number }>>;
  close(): void;
}

interface Allocators {
  readonly identities: Allocator<Identity>;
  readonly rulesets: Allocator<number>;
  readonly cookies: Allocator<ReturnType<typeof cookie>>;
  readonly backends: Allocator<number>;
  readonly services: Allocator<number>;
}

/**
 * Compute over `tables`. Rows that are in the inputs already count as changes for the first step. Throws a WeirError if
 * the state file is there and cannot be used.
 */
export function createCompute(
  tables: Tables,
  options: { readonly layout: Pick<NodeLayout, 'addresses'>; readonly statePath: string },
): Compute {
  const { inputs, desired } = tables;
  const { addresses } = options.layout;
  const state = readState(options.statePath);
  if (!state.ok) throw new WeirError('WEIR_STATE_UNREADABLE', state.error);
  const allocators = restore(options.statePath, state.value);
  let changed = false;
  const note = (): void => {
    changed = true;
  };
  const stops: (() => void)[] = Object.values(desired).map((table) => table.subscribe(note));

  const policy = createPolicyCompute(desired, allocators);
  const services = createServiceCompute(desired, allocators, { addresses, remembered: state.value?.clusterIps ?? {} });
  const endpoints = createEndpointCompute(inputs, desired, { policy, allocator: allocators.identities, addresses });

  stops.push(
    inputs.endpoints.subscribe(({ key, after }) => {
      endpoints.touch(key);
      services.setEndpoint(key, after);
    }),
    inputs.namespaces.subscribe(({ key }) => endpoints.touchNamespace(key)),
    inputs.policies.subscribe(({ key, after }) => policy.setPolicy(key, after)),
    inputs.services.subscribe(({ key, after }) => services.setService(key, after)),
  );
  for (const [key, row] of inputs.endpoints.entries()) {
    endpoints.touch(key);
    services.setEndpoint(key, row);
  }
  for (const [key, row] of inputs.policies.entries()) policy.setPolicy(key, row);
  for (const [key, row] of inputs.services.entries()) services.setService(key, row);

  let saved = -1;
  const save = (): void => {
    const version = Object.values(allocators).reduce((sum, allocator) => sum + allocator.version, services.version);
    if (version === saved) return;
    writeState(options.statePath, {
      version: 1,
      identities: allocators.identities.state(),
      rulesets: allocators.rulesets.state(),
      cookies: allocators.cookies.state(),
      backends: allocators.backends.state(),
      services: allocators.services.state(),
      clusterIps: services.clusterIps(),
    } as State);
    saved = version;
  };

  return {
    step() {
      endpoints.recompute();
      endpoints.enforce(policy.recompute());
      services.recompute();
      save();
      const result = changed;
      changed = false;
      return result;
    },
    problems: () => [
      ...services.problems().map(({ service, reason }) => ({ object: `Service ${service}`, reason })),
      ...endpoints.problems().map(({ endpoint, reason }) => ({ object: `Pod ${endpoint}`, reason })),
      ...policy.problems().map((reason) => ({ object: 'Node', reason })),
    ],
    identityOf: endpoints.identityOf,
    selectedBy(key) {
      let count = 0;
      for (const subject of policy.selectedBy(key)) count += endpoints.endpointsOf(subject);
      return count;
    },
    usage: () =>
      Object.fromEntries(Object.entries(allocators).map(([name, { used, capacity }]) => [name, { used, capacity }])),
    close() {
      for (const stop of stops) stop();
    },
  };
}

function restore(path: string, state: State | undefined): Allocators {
  const many = 0xffff_fffe;
  try {
    return {
      identities: createAllocator({ name: 'identity', min: 256, max: 65535 }, identity, state?.identities),
      rulesets: createAllocator({ name: 'ruleset id', min: 1, max: 65535 }, (n) => n, state?.rulesets),
      cookies: createAllocator({ name: 'cookie', min: 1, max: many }, cookie, state?.cookies),
      backends: createAllocator({ name: 'backend id', min: 1, max: many }, (n) => n, state?.backends),
      services: createAllocator({ name: 'service id', min: 1, max: 65535 }, (n) => n, state?.services),
    };
  } catch (cause) {
    throw new WeirError('WEIR_STATE_UNREADABLE', `Cannot use state "${path}": ${(cause as Error).message}`, { cause });
  }
}

// Every kind of number that compute gives out.

import { WeirError } from '#common/errors.ts';
import { type Cookie, cookie, type Identity, identity, type PeerSetId, peerSetId } from '#common/ids.ts';
import { type Allocator, createAllocator } from '../identity/allocator.ts';
import { CLUSTER_RANGE, LOCAL_RANGE, NODE_RANGE } from '../identity/reserved.ts';
import { NUMBERS, type State, type StateChange } from './state.ts';

export interface Allocators {
  readonly identities: Allocator<Identity>;
  readonly prefixes: Allocator<Identity>;
  readonly nodes: Allocator<Identity>;
  readonly rulesets: Allocator<number>;
  readonly peerSets: Allocator<PeerSetId>;
  readonly cookies: Allocator<Cookie>;
  readonly backends: Allocator<number>;
  readonly services: Allocator<number>;
}

export interface Numbers {
  readonly allocators: Allocators;
  takeChanges(): StateChange;
  state(): Omit<State, 'clusterIps'>;
  /** Numbers in use and how many there are. */
  usage(): Readonly<Record<string, { readonly used: number; readonly capacity: number }>>;
}

/** Numbers as `state` has them. Throws a WeirError if they cannot be: `path` is where they come from. */
export function createNumbers(path: string, state: State | undefined): Numbers {
  const allocators = restore(path, state);
  return {
    allocators,
    takeChanges() {
      const changes = NUMBERS.map((name) => [name, allocators[name].takeChanges()] as const);
      return Object.fromEntries(changes.filter(([, change]) => change !== undefined));
    },
    state: () => Object.fromEntries(NUMBERS.map((name) => [name, allocators[name].state()])),
    usage: () =>
      Object.fromEntries(Object.entries(allocators).map(([name, { used, capacity }]) => [name, { used, capacity }])),
  };
}

function restore(path: string, state: State | undefined): Allocators {
  const many = 0xffff_fffe;
  try {
    return {
      identities: createAllocator(CLUSTER_RANGE, identity, state?.identities),
      prefixes: createAllocator(LOCAL_RANGE, identity, state?.prefixes),
      nodes: createAllocator(NODE_RANGE, identity, state?.nodes),
      rulesets: createAllocator({ name: 'ruleset id', min: 1, max: 65535 }, (n) => n, state?.rulesets),
      peerSets: createAllocator({ name: 'peer set', min: 1, max: many }, peerSetId, state?.peerSets),
      cookies: createAllocator({ name: 'cookie', min: 1, max: many }, cookie, state?.cookies),
      backends: createAllocator({ name: 'backend id', min: 1, max: many }, (n) => n, state?.backends),
      services: createAllocator({ name: 'service id', min: 1, max: 65535 }, (n) => n, state?.services),
    };
  } catch (cause) {
    throw new WeirError('WEIR_STATE_UNREADABLE', `Cannot use state "${path}": ${(cause as Error).message}`, { cause });
  }
}

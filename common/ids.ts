// Numbers that must not be mixed up. Only the functions here make them.

declare const brand: unique symbol;
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Security identity: a number for a set of labels. Ranges: 1..255 reserved, 256..65535 cluster, 1<<24 and up node-local. */
export type Identity = Brand<number, 'Identity'>;
/** Endpoint id, unique on one node, 1..65535. */
export type EndpointId = Brand<number, 'EndpointId'>;
/** Kernel interface index. */
export type Ifindex = Brand<number, 'Ifindex'>;
/** Id of an L7 ruleset, unique on one node; never 0. */
export type RulesetId = Brand<number, 'RulesetId'>;
/** A set of peers that policy entries are about, unique on one node; 0 is any peer. */
export type PeerSetId = Brand<number, 'PeerSetId'>;
/** Origin of a policy entry: which policies are behind it; 0 is "built in". */
export type Cookie = Brand<number, 'Cookie'>;
/** File descriptor of a BPF map. */
export type MapFd = Brand<number, 'MapFd'>;
/** Slot of a proxy worker in the steering map. */
export type WorkerSlot = Brand<number, 'WorkerSlot'>;

function branded<B extends number>(name: string, min: number, max: number): (value: number) => B {
  return (value) => {
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new Error(`Cannot use ${value} as ${name}: not an integer from ${min} to ${max}`);
    }
    return value as B;
  };
}

const MAX_U32 = 0xffff_ffff;
export const identity = branded<Identity>('identity', 0, MAX_U32);
export const endpointId = branded<EndpointId>('endpoint id', 1, 0xffff);
export const ifindex = branded<Ifindex>('interface index', 1, 0x7fff_ffff);
export const rulesetId = branded<RulesetId>('ruleset id', 1, MAX_U32);
export const peerSetId = branded<PeerSetId>('peer set id', 0, MAX_U32);
export const cookie = branded<Cookie>('cookie', 0, MAX_U32);
export const mapFd = branded<MapFd>('map descriptor', 0, 0x7fff_ffff);
export const workerSlot = branded<WorkerSlot>('worker slot', 0, 63);

/** Identities with a fixed meaning. */
export const RESERVED = {
  any: identity(0),
  host: identity(1),
  world: identity(2),
  unmanaged: identity(3),
  health: identity(4),
  init: identity(5),
  remoteNode: identity(6),
  kubeApiserver: identity(7),
  ingress: identity(8),
  worldIpv4: identity(9),
  worldIpv6: identity(10),
} as const;

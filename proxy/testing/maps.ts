// BPF maps as a worker gets them, made without the agent and without libbpf.

import type { CtEntry } from '#bpf/abi.ts';
import {
  ACTION_ALLOW,
  ACTION_REDIRECT,
  CT_INITIATOR_A,
  CT_STEERED,
  connectionKey,
  ctEntry,
  ctKey,
  ENDPOINT_AUDIT,
  type End,
  endpoint,
  isEndA,
  NODE_AUDIT,
  nodeConfig,
} from '#bpf/abi.ts';
import { type Address, addressBytes } from '#common/ip.ts';
import { addressOf, bpf, callError, close, mapShared, PROT } from '#common/native/libc.ts';

const COMMAND = { mapCreate: 0, mapUpdate: 2, mapDelete: 3, mapFdById: 14, objectInfo: 15 } as const;
const TYPE = { hash: 1, array: 2, lruHash: 9 } as const;
const MMAPABLE = 1 << 10;
const RDONLY = 1 << 3;

export interface TestMaps extends Disposable {
  /** Descriptors that allow reading only. */
  readonly conntrack: number;
  readonly nodeConfig: number;
  readonly endpointAddrs: number;
  setRevision(revision: number): void;
  /** Audit mode of the whole node. */
  auditNode(on: boolean): void;
  /** A workload of this node, and whether it is in audit mode; undefined: it is none any more. */
  setEndpoint(address: Address, endpoint: { readonly identity: number; readonly audit: boolean } | undefined): void;
  /** A steered connection with rulesets for each side; 0: that side asks for none. */
  steer(connection: TestConnection): void;
  forget(connection: Pick<TestConnection, 'source' | 'sourcePort' | 'destination' | 'destinationPort'>): void;
}

export interface TestConnection {
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
  readonly egressRuleset: number;
  readonly ingressRuleset: number;
  readonly revision: number;
  readonly flags?: number;
}

type Ends = Parameters<TestMaps['forget']>[0];

function endsOf({ source, sourcePort, destination, destinationPort }: Ends): [End, End] {
  return [
    { address: source, port: sourcePort },
    { address: destination, port: destinationPort },
  ];
}

export const TEST_IDENTITIES = { source: 300, destination: 301 } as const;

/** An empty conntrack and a node_config at revision 1 with `proxyMark`. */
export function createTestMaps(proxyMark: number): TestMaps {
  const conntrack = createMap({ type: TYPE.lruHash, key: ctKey.size, value: ctEntry.size, entries: 1024, flags: 0 });
  const config = createMap({ type: TYPE.array, key: 4, value: nodeConfig.size, entries: 1, flags: MMAPABLE });
  const endpoints = createMap({ type: TYPE.hash, key: 16, value: endpoint.size, entries: 16, flags: 0 });
  const mapping = mapShared({ fd: config, sizeBytes: 4096, protection: PROT.READ | PROT.WRITE });
  const words = new Uint32Array(mapping.bytes);
  words[nodeConfig.offsets.revision / 4] = 1;
  words[nodeConfig.offsets.proxyMark / 4] = proxyMark;
  const readers = [readOnly(conntrack), readOnly(config), readOnly(endpoints)] as const;
  const keyOf = (connection: Ends): Uint8Array =>
    ctKey.encode(connectionKey(...endsOf(connection), 6), Buffer.alloc(128)); // TCP
  return {
    conntrack: readers[0],
    nodeConfig: readers[1],
    endpointAddrs: readers[2],
    setRevision(revision) {
      words[nodeConfig.offsets.revision / 4] = revision;
    },
    auditNode(on) {
      words[nodeConfig.offsets.flags / 4] = on ? NODE_AUDIT : 0;
    },
    setEndpoint(address, what) {
      const key = addressBytes(address);
      if (what === undefined) return element(COMMAND.mapDelete, endpoints, { key });
      const value = endpoint.encode({
        ...endpoint.decode(new Uint8Array(endpoint.size)),
        identity: what.identity,
        flags: what.audit ? ENDPOINT_AUDIT : 0,
      });
      return element(COMMAND.mapUpdate, endpoints, { key, value });
    },
    steer(connection) {
      const entry: CtEntry = {
        ...ctEntry.decode(new Uint8Array(ctEntry.size)),
        revision: connection.revision,
        sourceIdentity: TEST_IDENTITIES.source,
        destinationIdentity: TEST_IDENTITIES.destination,
        egressRuleset: connection.egressRuleset,
        ingressRuleset: connection.ingressRuleset,
        flags: (connection.flags ?? CT_STEERED) | (isEndA(...endsOf(connection)) ? CT_INITIATOR_A : 0),
        egressAction: connection.egressRuleset === 0 ? ACTION_ALLOW : ACTION_REDIRECT,
        ingressAction: connection.ingressRuleset === 0 ? ACTION_ALLOW : ACTION_REDIRECT,
      };
      element(COMMAND.mapUpdate, conntrack, {
        key: keyOf(connection),
        value: ctEntry.encode(entry, Buffer.alloc(512)),
      });
    },
    forget: (connection) => element(COMMAND.mapDelete, conntrack, { key: keyOf(connection) }),
    [Symbol.dispose]() {
      mapping[Symbol.dispose]();
      for (const fd of [conntrack, config, endpoints, ...readers]) close(fd);
    },
  };
}

function attributes(...words: readonly (number | Uint8Array)[]): Buffer {
  const attr = Buffer.alloc(72);
  let at = 0;
  for (const word of words) {
    if (typeof word === 'number') at = attr.writeUInt32LE(word, at);
    else {
      at = Math.ceil(at / 8) * 8;
      at = attr.writeBigUInt64LE(BigInt(addressOf(word)), at);
    }
  }
  return attr;
}

function call(what: string, command: number, attr: Buffer): number {
  const result = bpf(command, attr);
  if (result < 0) throw callError(what);
  return result;
}

function createMap(map: { type: number; key: number; value: number; entries: number; flags: number }): number {
  return call('create map', COMMAND.mapCreate, attributes(map.type, map.key, map.value, map.entries, map.flags));
}

function element(command: number, fd: number, { key, value }: { key: Uint8Array; value?: Uint8Array }): void {
  call('change map', command, value ? attributes(fd, key, value) : attributes(fd, key));
}

/** Another descriptor of the same map, for reading only. */
function readOnly(fd: number): number {
  const info = Buffer.alloc(256);
  call('ask for map', COMMAND.objectInfo, attributes(fd, info.length, info));
  return call('open map', COMMAND.mapFdById, attributes(info.readUInt32LE(4), 0, RDONLY));
}

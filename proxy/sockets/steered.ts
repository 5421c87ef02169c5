// Connections that the kernel side steered to this worker: who they are from conntrack, and upstream sockets that look to
// the server as if the client had made them.

import {
  ACTION_AUDIT,
  ACTION_DENY,
  ACTION_REDIRECT,
  CT_CUT,
  CT_DENIED,
  CT_INITIATOR_A,
  CT_STEERED,
  type CtEntry,
  connectionKey,
  ctEntry,
  ctKey,
  ENDPOINT_AUDIT,
  endpoint,
  isEndA,
  NODE_AUDIT,
  nodeConfig,
} from '#bpf/abi.ts';
import { familyOf, writeAddress } from '#common/ip.ts';
import {
  AF,
  addressOf,
  bind,
  bpf,
  callError,
  close,
  connect,
  decodeSockaddr,
  ERRNO,
  encodeSockaddr,
  errno,
  getsockname,
  IP,
  IPV6,
  int32,
  SO,
  SOCK,
  SOCKADDR_SIZE,
  SOL,
  setsockopt,
  socket,
  TCP,
} from '#common/native/libc.ts';
import type { Origin, SocketSource } from '../enforce/origin.ts';

export interface SteeredOptions {
  readonly listener: number;
  /** Descriptor of map `conntrack`; reading is enough. */
  readonly conntrack: number;
  /** Descriptor of map `node_config`; reading is enough. */
  readonly nodeConfig: number;
  /** Descriptor of map `endpoint_addrs`; reading is enough. */
  readonly endpointAddrs: number;
}

const IPPROTO_TCP = 6;
const BPF_MAP_LOOKUP_ELEM = 1;
const ADDRESS_BYTES = 16;
const ONE = int32(1);

/**
 * Connections of a listener that the agent put into the steering map. Throws if `node_config` cannot be read. (Mapping it
 * into memory would save a system call per turn, but the kernel maps BPF maps for those only who may write them.)
 */
export function createSteeredSource(options: SteeredOptions): SocketSource {
  const config = createReader(options.nodeConfig, Buffer.alloc(4), nodeConfig.size);
  if (!config.read()) throw callError('read map node_config');
  const mark = int32(nodeConfig.decode(config.value).proxyMark);
  const revisionAt = nodeConfig.offsets.revision;
  const lookup = createLookup(options.conntrack);
  const endpoints = createReader(options.endpointAddrs, Buffer.alloc(ADDRESS_BYTES), endpoint.size);
  const local = Buffer.alloc(SOCKADDR_SIZE);
  const room = int32(SOCKADDR_SIZE);
  let revision = config.value.readUInt32LE(revisionAt);
  const refresh = (origin: Origin): boolean => {
    const entry = lookup(origin);
    return entry !== undefined && readEntry(entry, origin);
  };
  return {
    listener: options.listener,
    beginTurn() {
      if (!config.read()) throw callError('read map node_config');
      revision = config.value.readUInt32LE(revisionAt);
    },
    revision: () => revision,
    refresh,
    audits(address, identity) {
      writeAddress(address, endpoints.key);
      if (!endpoints.read() || endpoints.value.readUInt32LE(endpoint.offsets.identity) !== identity) return false;
      const isNodes = (config.value.readUInt32LE(nodeConfig.offsets.flags) & NODE_AUDIT) !== 0;
      return isNodes || (endpoints.value.readUInt16LE(endpoint.offsets.flags) & ENDPOINT_AUDIT) !== 0;
    },
    identify(fd, peer) {
      room[0] = SOCKADDR_SIZE;
      if (getsockname(fd, local, room) < 0) return undefined;
      const source = decodeSockaddr(peer);
      const destination = decodeSockaddr(local);
      const origin: Origin = {
        source: source.address,
        sourcePort: source.port,
        destination: destination.address,
        destinationPort: destination.port,
        sourceIdentity: 0,
        destinationIdentity: 0,
        egressRuleset: 0,
        ingressRuleset: 0,
        denied: true,
        audited: false,
        revision: 0,
      };
      return refresh(origin) && !origin.denied ? origin : undefined;
    },
    connect: (origin) => connectAs(origin, mark),
  };
}

interface MapReader {
  /** The kernel reads it by its address: it must live as long as the reader. */
  readonly key: Buffer;
  readonly value: Buffer;
  /** Reads the element whose key is now in `key`. False: there is none. */
  read(): boolean;
}

function createReader(mapFd: number, key: Buffer, valueSize: number): MapReader {
  const value = Buffer.alloc(valueSize);
  const attr = Buffer.alloc(32); // union bpf_attr: map_fd, key, value, flags
  attr.writeUInt32LE(mapFd, 0);
  attr.writeBigUInt64LE(BigInt(addressOf(key)), 8);
  attr.writeBigUInt64LE(BigInt(addressOf(value)), 16);
  return { key, value, read: () => bpf(BPF_MAP_LOOKUP_ELEM, attr) === 0 };
}

/** Looks connections up in conntrack. An entry that says that the server began the connection is none of ours. */
function createLookup(mapFd: number): (origin: Origin) => CtEntry | undefined {
  const key = Buffer.alloc(ctKey.size);
  const entries = createReader(mapFd, key, ctEntry.size);
  return ({ source, sourcePort, destination, destinationPort }) => {
    const client = { address: source, port: sourcePort };
    const server = { address: destination, port: destinationPort };
    ctKey.encode(connectionKey(client, server, IPPROTO_TCP), key);
    if (!entries.read()) return undefined;
    const entry = ctEntry.decode(entries.value);
    return ((entry.flags & CT_INITIATOR_A) !== 0) === isEndA(client, server) ? entry : undefined;
  };
}

/** Takes an entry's identities and rulesets over into `origin`. False: the connection is not steered. */
function readEntry(entry: CtEntry, origin: Origin): boolean {
  if ((entry.flags & CT_STEERED) === 0) return false;
  const egress = sideOf(entry.egressAction, entry.egressRuleset);
  const ingress = sideOf(entry.ingressAction, entry.ingressRuleset);
  origin.revision = entry.revision;
  origin.sourceIdentity = entry.sourceIdentity;
  origin.destinationIdentity = entry.destinationIdentity;
  origin.egressRuleset = Math.max(egress, 0);
  origin.ingressRuleset = Math.max(ingress, 0);
  origin.audited = entry.egressAction === ACTION_AUDIT || entry.ingressAction === ACTION_AUDIT;
  origin.denied = (entry.flags & (CT_DENIED | CT_CUT)) !== 0 || egress < 0 || ingress < 0;
  return true;
}

/** The ruleset of one side, 0 if it asks for none, -1 if it denies or names no ruleset. */
function sideOf(action: number, ruleset: number): number {
  if (action === ACTION_DENY) return -1;
  if (action !== ACTION_REDIRECT) return 0;
  return ruleset === 0 ? -1 : ruleset;
}

const clientAddress = Buffer.alloc(SOCKADDR_SIZE);
const serverAddress = Buffer.alloc(SOCKADDR_SIZE);

/** A socket with the client's own address and port that connects to the original destination. Negative: error number. */
function connectAs(origin: Origin, mark: Uint8Array): number {
  const v4 = familyOf(origin.destination) === 4;
  const fd = socket(v4 ? AF.INET : AF.INET6, SOCK.STREAM | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
  if (fd < 0) return -errno();
  const length = encodeSockaddr(origin.source, origin.sourcePort, clientAddress);
  encodeSockaddr(origin.destination, origin.destinationPort, serverAddress);
  const transparent = v4
    ? setsockopt(fd, SOL.IP, IP.TRANSPARENT, ONE, 4)
    : setsockopt(fd, SOL.IPV6, IPV6.TRANSPARENT, ONE, 4);
  const failed =
    transparent < 0 ||
    setsockopt(fd, SOL.SOCKET, SO.MARK, mark, 4) < 0 ||
    setsockopt(fd, SOL.SOCKET, SO.REUSEADDR, ONE, 4) < 0 ||
    setsockopt(fd, SOL.TCP, TCP.NODELAY, ONE, 4) < 0 ||
    bind(fd, clientAddress, length) < 0 ||
    (connect(fd, serverAddress, length) < 0 && errno() !== ERRNO.EINPROGRESS);
  if (!failed) return fd;
  const error = errno();
  close(fd);
  return -error;
}

// The cluster's resolver: UDP and TCP sockets on the node's resolver addresses, answers from the table of names.

import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { type Address, familyOf, formatAddress } from '#common/ip.ts';
import type { ReadonlyTable } from '#common/table.ts';
import type { DnsRow } from '../tables.ts';
import { answer, type Rcode, type Transport } from './answer.ts';

export interface Resolver {
  /** Queries answered, by result; "dropped" are those too broken to answer. */
  counts(): Readonly<Record<Rcode | 'dropped', number>>;
  close(): Promise<void>;
}

const MAX_CONNECTIONS = 256;
const IDLE_MS = 10_000;
const LENGTH_BYTES = 2; // RFC 1035 section 4.2.2
const MAX_QUERY_BYTES = 4096;

/** Starts the resolver on every address of `options.addresses`. Throws when an address cannot be bound. */
export async function startResolver(options: {
  readonly addresses: readonly Address[];
  readonly port: number;
  readonly names: ReadonlyTable<DnsRow>;
}): Promise<Resolver> {
  const counts: Record<Rcode | 'dropped', number> = { NOERROR: 0, FORMERR: 0, NXDOMAIN: 0, NOTIMP: 0, dropped: 0 };
  const reply = (query: Uint8Array, transport: Transport): Uint8Array | undefined => {
    const made = answer(query, options.names, transport);
    counts[made?.rcode ?? 'dropped']++;
    return made?.bytes;
  };
  const udp: UdpSocket[] = [];
  const tcp: Server[] = [];
  const open = new Set<Socket>();
  const close = async (): Promise<void> => {
    for (const socket of open) socket.destroy();
    await Promise.all([
      ...udp.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))),
      ...tcp.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
    ]);
  };
  try {
    for (const address of options.addresses) {
      udp.push(await listenUdp(address, options.port, (query) => reply(query, 'udp')));
      tcp.push(await listenTcp(address, options.port, open, (query) => reply(query, 'tcp')));
    }
  } catch (cause) {
    await close();
    throw cause;
  }
  return { counts: () => ({ ...counts }), close };
}

type Handler = (query: Uint8Array) => Uint8Array | undefined;

async function listenUdp(address: Address, port: number, handle: Handler): Promise<UdpSocket> {
  const socket = createSocket({ type: familyOf(address) === 4 ? 'udp4' : 'udp6', reuseAddr: true });
  socket.on('message', (query, from) => {
    const bytes = handle(query);
    // A reply that the stack refuses is lost like a datagram on the way: the client asks again.
    if (bytes) socket.send(bytes, from.port, from.address, () => {});
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(port, formatAddress(address), () => {
      socket.off('error', reject);
      socket.on('error', () => {});
      resolve();
    });
  });
  return socket;
}

async function listenTcp(address: Address, port: number, open: Set<Socket>, handle: Handler): Promise<Server> {
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    serveStream(socket, handle);
  });
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, formatAddress(address), () => {
      server.off('error', reject);
      resolve();
    });
  });
  return server;
}

// Queries one after the other, each behind its length. A connection holds at most one query of bounded size.
function serveStream(socket: Socket, handle: Handler): void {
  let pending = Buffer.alloc(0);
  socket.setTimeout(IDLE_MS, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    for (;;) {
      if (pending.length < LENGTH_BYTES) return;
      const length = pending.readUInt16BE(0);
      if (length > MAX_QUERY_BYTES) {
        socket.destroy();
        return;
      }
      if (pending.length < LENGTH_BYTES + length) return;
      const bytes = handle(pending.subarray(LENGTH_BYTES, LENGTH_BYTES + length));
      pending = pending.subarray(LENGTH_BYTES + length);
      if (bytes === undefined) {
        socket.destroy();
        return;
      }
      const size = Buffer.alloc(LENGTH_BYTES);
      size.writeUInt16BE(bytes.length, 0);
      socket.write(Buffer.concat([size, bytes]));
    }
  });
}

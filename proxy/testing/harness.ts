// A data thread in plain mode, and sockets that say exactly what they are told.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { address } from '#common/ip.ts';
import { close } from '#common/native/libc.ts';
import type { CounterName } from '../counters.ts';
import { type DataThread, startDataThread } from '../data-thread-handle.ts';
import { DEFAULT_LIMITS, type Limits } from '../limits.ts';
import { type AccessRecord, decodeRecord } from '../records/decode.ts';
import type { PeerOrder, RuleOrder } from '../rules/ruleset.ts';
import { listenAt } from '../sockets/plain.ts';

export const SOURCE_IDENTITY = 300;
export const DESTINATION_IDENTITY = 301;
export const RULESET = 7;
const LOCALHOST = address('127.0.0.1');

export interface ProxyUnderTest extends AsyncDisposable {
  readonly port: number;
  readonly thread: DataThread;
  /** Records so far, in order of their ends. */
  records(): AccessRecord[];
  count(name: CounterName): number;
  /** Puts rules in force: 'all' lets everything pass, 'none' leaves the ruleset unknown. */
  rules(rules: readonly Partial<RuleOrder>[] | 'all' | 'none'): Promise<void>;
}

export interface ProxyOptions {
  /** Port of the server, on 127.0.0.1. */
  readonly server: number;
  readonly limits?: Partial<Limits>;
  readonly rules?: readonly Partial<RuleOrder>[] | 'all' | 'none';
  readonly samplingRatio?: number;
}

/** A proxy on a free port of 127.0.0.1. */
export async function startProxy(options: ProxyOptions): Promise<ProxyUnderTest> {
  const { fd, port } = listenAt({ address: LOCALHOST, port: 0 });
  const policies: string[][] = [[]];
  const records: AccessRecord[] = [];
  const waiting = new Map<number, () => void>();
  let version = 0;
  const thread = startDataThread({
    source: {
      kind: 'plain',
      listener: fd,
      serverAddress: '127.0.0.1',
      serverPort: options.server,
      sourceIdentity: SOURCE_IDENTITY,
      destinationIdentity: DESTINATION_IDENTITY,
      egressRuleset: 0,
      ingressRuleset: RULESET,
    },
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    samplingRatio: options.samplingRatio,
    onReport(report) {
      if (report.kind === 'applied') waiting.get(report.version)?.();
      else if (report.kind === 'policies') policies[report.number] = [...report.names];
      else if (report.kind === 'problem') throw new Error(report.text);
    },
  });
  const proxy: ProxyUnderTest = {
    port,
    thread,
    records() {
      for (let slot = thread.slab.take(); slot >= 0; slot = thread.slab.take()) {
        records.push(decodeRecord(thread.slab, slot, (number) => policies[number] ?? []));
        thread.slab.put(slot);
      }
      return records;
    },
    count: (name) => thread.counters.get(name),
    async rules(rules) {
      const applied = new Promise<void>((resolve) => waiting.set(++version, resolve));
      const rulesets = rules === 'none' ? [] : [{ id: RULESET, peers: [peerOrder(rules)] }];
      thread.send({ kind: 'rules', order: { version, full: true, removed: [], rulesets } });
      await applied;
    },
    async [Symbol.asyncDispose]() {
      thread.send({ kind: 'stop' });
      await thread.ended;
      close(fd);
    },
  };
  await proxy.rules(options.rules ?? 'all');
  return proxy;
}

function peerOrder(rules: readonly Partial<RuleOrder>[] | 'all'): PeerOrder {
  const nothing = { http: [], policies: [], refused: false, denied: [], otherParsers: false };
  if (rules === 'all') {
    return { ...nothing, anyPeer: true, identities: [], wildcard: true, policies: ['default/everything'] };
  }
  const empty: RuleOrder = { method: '', path: '', host: '', headers: [], policy: 'default/rules' };
  return {
    ...nothing,
    anyPeer: false,
    identities: [SOURCE_IDENTITY],
    wildcard: false,
    http: rules.map((rule) => ({ ...empty, ...rule })),
  };
}

/** A server that hands each connection to `onConnection`. */
export async function startServer(onConnection: (socket: Socket) => void): Promise<Server & AsyncDisposable> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(server, {
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  });
}

/** Port of a server that listens. */
export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** A client connection that gathers what it receives. */
export interface Client extends Disposable {
  readonly socket: Socket;
  readonly received: string;
  /** How the other side ended. */
  readonly end: 'none' | 'end' | 'reset';
  send(text: string | Buffer): void;
  /** Waits until `received` satisfies `condition`, or fails after `timeoutMs`. */
  until(condition: RegExp | ((received: string) => boolean), timeoutMs?: number): Promise<string>;
  /** Waits for the other side's end. */
  ended(timeoutMs?: number): Promise<string>;
}

/** Connects to 127.0.0.1:`port`. Text is latin1. */
export async function startClient(port: number, localAddress = '127.0.0.1'): Promise<Client> {
  const socket = connect({ port, host: '127.0.0.1', localAddress, allowHalfOpen: true, noDelay: true });
  let received = '';
  let end: Client['end'] = 'none';
  socket.on('data', (data) => {
    received += data.toString('latin1');
  });
  socket.on('end', () => {
    end = 'end';
  });
  socket.on('error', () => {
    end = 'reset';
  });
  await once(socket, 'connect');
  const wait = async (isDone: () => boolean, what: string, timeoutMs = 5_000): Promise<string> => {
    const late = AbortSignal.timeout(timeoutMs);
    while (!isDone()) {
      if (late.aborted) throw new Error(`Cannot wait for ${what}: received only ${JSON.stringify(received)}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return received;
  };
  return {
    socket,
    get received() {
      return received;
    },
    get end() {
      return end;
    },
    send: (text) => void socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text),
    until: (condition, timeoutMs) => {
      const holds = typeof condition === 'function' ? condition : (text: string) => condition.test(text);
      return wait(() => holds(received), String(condition), timeoutMs);
    },
    ended: (timeoutMs) => wait(() => end !== 'none', 'the end', timeoutMs),
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

// Packets with client and server on one processor and before everything else there: how they were spread over several, and
// who else wanted to run, would be most of what is measured. Of two loads one runs at a time, in turns of a tenth of a
// second: what else the machine does for longer than that slows both down alike, and cancels out of their ratio.

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, inNetns } from '../shell.ts';
import { median } from '../statistics.ts';

/** UDP; TCP has the port after it. */
export const PACKET_PORT = 5_301;

/** Round trips of 64 bytes over one TCP connection, or datagrams of 64 bytes: all the way into the receiver's socket. */
export type PacketLoad = 'roundTrips' | 'packets';
/** Of two flows, a second. */
export type Rates = [number, number];

/** Sends from a namespace to a server of PACKET_SERVER. */
export interface Sender extends AsyncDisposable {
  /** Sends for so long. Resolves with packets or round trips a second. */
  send(ms: number): Promise<number>;
}

const FIRST = ['taskset', '--cpu-list', '1', 'chrt', '--fifo', '1', process.execPath] as const;
const SLICE_MS = 100;
/** Between two turns: what waits for the processor has it, and need not take it later. */
const GAP_MS = 25;
const WARM_UP_MS = 300;
const ANSWER_MS = 10_000;
/** Of what was sent, that must have arrived. */
const ALL = 0.98;

/** The command that serves both, and how it says that it does. */
export const PACKET_SERVER = {
  command: [...FIRST, join(import.meta.dirname, 'packet-server.ts'), `${PACKET_PORT}`] as unknown as Command,
  ready: /listening/,
};

/** Lets two senders send in `turns` turns each, and takes the middle turn of each. */
export async function measureInTurns(senders: readonly [Sender, Sender], turns: number): Promise<Rates> {
  for (const sender of senders) await sender.send(WARM_UP_MS);
  const rates: readonly [number[], number[]] = [[], []];
  for (let turn = 0; turn < turns; turn++) {
    for (const which of turn % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      await sleep(GAP_MS);
      rates[which].push(await senders[which].send(SLICE_MS));
    }
  }
  return [median(rates[0]), median(rates[1])];
}

/** Starts a sender in the namespace at `netns`, to `address`, where process `receiver` serves. */
export async function startSender(
  load: PacketLoad,
  to: { readonly netns: string; readonly address: string; readonly receiver: number; readonly signal: AbortSignal },
): Promise<Sender> {
  const script = [join(import.meta.dirname, 'packet-client.ts'), load, to.address, `${PACKET_PORT}`];
  const [program, ...args] = inNetns(to.netns, [...FIRST, ...script] as unknown as Command);
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'], signal: to.signal });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (): Promise<string> => {
    const timer = setTimeout(() => child.kill('SIGKILL'), ANSWER_MS);
    const { value, done } = await lines.next();
    clearTimeout(timer);
    if (done) throw new Error(`Cannot measure packets to ${to.address}: the client ended`);
    return value;
  };
  for (const end of [child, child.stdin]) end.on('error', () => {}); // it has ended, and its next answer says so
  await answer();
  return {
    async send(ms) {
      const before = receivedBy(to.receiver);
      child.stdin.write(`${ms}\n`);
      const rate = Number(await answer());
      const arrived = receivedBy(to.receiver) - before;
      if (arrived < (rate * ms * ALL) / 1_000) {
        throw new Error(
          `Cannot measure packets to ${to.address}: ${arrived} of ${Math.round((rate * ms) / 1_000)} arrived`,
        );
      }
      return rate;
    },
    [Symbol.asyncDispose]: () => ended(child),
  };
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
}

function receivedBy(pid: number): number {
  return readReceived(readFileSync(`/proc/${pid}/net/dev`, 'utf8'), 'eth0');
}

/** Reads from /proc/PID/net/dev how many packets a device has received. */
export function readReceived(text: string, device: string): number {
  const line = text.split('\n').find((one) => one.trim().startsWith(`${device}:`));
  const packets = Number(line?.split(':')[1]?.trim().split(/\s+/)[1]);
  if (!Number.isInteger(packets)) throw new Error(`Cannot read the packets of ${device}:\n${text}`);
  return packets;
}

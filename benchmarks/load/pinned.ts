// Packets with client and server on one processor and before everything else there: how they were spread over several, and
// who else wanted to run, would be most of what is measured.

import { inNetns, output } from '../shell.ts';
import { readSockperf, type TcpOptions } from './tcp.ts';

/** iperf3; sockperf has the port after it. */
export const PACKET_PORT = 5_301;
const TRIP_PORT = PACKET_PORT + 1;
const PAYLOAD_BYTES = 64;
const FIRST = ['taskset', '--cpu-list', '1', 'chrt', '--fifo', '1'] as const;
/** What is sent is counted: nobody has to take it. */
const LAST = ['taskset', '--cpu-list', '0'] as const;

/** Commands that serve both. */
export function serverCommands() {
  return [
    { command: [...FIRST, 'sockperf', 'server', '--tcp', '-p', `${TRIP_PORT}`], ready: /to block on socket/ },
    {
      command: [...LAST, 'iperf3', '--server', '--port', `${PACKET_PORT}`, '--forceflush'],
      ready: /Server listening/,
    },
  ] as const;
}

/** Round trips of 64 bytes per second over one TCP connection. */
export async function pingPongPinned({ netns, address, seconds, signal }: TcpOptions): Promise<number> {
  const client = [...FIRST, 'sockperf', 'ping-pong', '--tcp', '-i', address, '-p', `${TRIP_PORT}`] as const;
  const command = inNetns(netns, [...client, '-m', `${PAYLOAD_BYTES}`, '-t', `${seconds}`]);
  return readSockperf(await output(command, { signal, timeoutMs: (seconds + 20) * 1_000 }));
}

/** Datagrams of 64 bytes per second that are sent, on the sender's processor all the way into the receiver's socket. */
export async function packets({ netns, address, seconds, signal }: TcpOptions): Promise<number> {
  const client = [...FIRST, 'iperf3', '--client', address, '--port', `${PACKET_PORT}`, '--json'] as const;
  const load = ['--udp', '--bitrate', '0', '--length', `${PAYLOAD_BYTES}`, '--time', `${seconds}`] as const;
  const command = inNetns(netns, [...client, ...load]);
  return readPackets(await output(command, { signal, timeoutMs: (seconds + 20) * 1_000 }));
}

/** Reads iperf3's report of a UDP run. */
export function readPackets(text: string): number {
  const sum: unknown = JSON.parse(text).end?.sum;
  const { packets: sent, seconds } = (sum ?? {}) as Record<string, unknown>;
  if (typeof sent !== 'number' || typeof seconds !== 'number') {
    throw new Error(`Cannot read the report of iperf3:\n${text}`);
  }
  return sent / seconds;
}

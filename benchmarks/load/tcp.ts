// TCP without HTTP: sockperf for request/response, iperf3 for bulk.

import { IPERF_PORT, SOCKPERF_PORT } from '../origin.ts';
import { inNetns, output } from '../shell.ts';

export interface TcpOptions {
  readonly netns: string;
  readonly address: string;
  readonly seconds: number;
  readonly signal: AbortSignal;
}

/** Round trips of 64 bytes per second over one connection. */
export async function pingPong({ netns, address, seconds, signal }: TcpOptions): Promise<number> {
  const text = await output(
    inNetns(netns, [
      'sockperf',
      'ping-pong',
      '--tcp',
      '-i',
      address,
      '-p',
      `${SOCKPERF_PORT}`,
      '-m',
      '64',
      '-t',
      `${seconds}`,
    ]),
    { signal, timeoutMs: (seconds + 20) * 1_000 },
  );
  return readSockperf(text);
}

/** Bits per second from client to server over one connection. */
export async function bulk({ netns, address, seconds, signal }: TcpOptions): Promise<number> {
  const text = await output(
    inNetns(netns, ['iperf3', '--client', address, '--port', `${IPERF_PORT}`, '--time', `${seconds}`, '--json']),
    { signal, timeoutMs: (seconds + 20) * 1_000 },
  );
  return readIperf(text);
}

/** Commands that serve both. */
export const TCP_SERVERS = [
  { command: ['sockperf', 'server', '--tcp', '-p', `${SOCKPERF_PORT}`], ready: /to block on socket/ },
  { command: ['iperf3', '--server', '--port', `${IPERF_PORT}`, '--forceflush'], ready: /Server listening/ },
] as const;

/** Reads sockperf's report. */
export function readSockperf(text: string): number {
  const match = /\[Valid Duration\] RunTime=([\d.]+) sec; SentMessages=\d+; ReceivedMessages=(\d+)/.exec(text);
  if (!match) throw new Error(`Cannot read the report of sockperf:\n${text}`);
  return Number(match[2]) / Number(match[1]);
}

/** Reads iperf3's report. */
export function readIperf(text: string): number {
  const rate: unknown = JSON.parse(text).end?.sum_received?.bits_per_second;
  if (typeof rate !== 'number') throw new Error(`Cannot read the report of iperf3:\n${text}`);
  return rate;
}

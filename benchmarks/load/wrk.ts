// wrk: requests per second over HTTP/1.1.

import { type Command, inNetns, output } from '../shell.ts';

export interface WrkOptions {
  readonly netns: string;
  readonly url: string;
  readonly seconds: number;
  /** One request a connection. */
  readonly newConnections: boolean;
  readonly signal: AbortSignal;
}

const CONNECTIONS = 64;

/** Requests per second of one thread with 64 connections. A reply that is not 200, or a broken connection, is an error. */
export async function wrk(options: WrkOptions): Promise<number> {
  const close: readonly string[] = options.newConnections ? ['-H', 'Connection: close'] : [];
  const command: Command = ['wrk', '-t1', `-c${CONNECTIONS}`, `-d${options.seconds}s`, ...close, options.url];
  const text = await output(inNetns(options.netns, command), {
    signal: options.signal,
    timeoutMs: (options.seconds + 20) * 1_000,
  });
  return readWrk(text, options);
}

/** Reads wrk's report. */
export function readWrk(text: string, { url }: Pick<WrkOptions, 'url'>): number {
  const rate = /^Requests\/sec:\s+([\d.]+)/m.exec(text)?.[1];
  const bad = /^\s*Non-2xx or 3xx responses: .*/m.exec(text)?.[0].trim();
  const errors = /^\s*Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/m.exec(text);
  const broken = errors?.slice(1).some((count) => Number(count) > 0);
  if (rate === undefined || Number(rate) === 0) throw new Error(`Cannot measure ${url}: wrk saw no reply\n${text}`);
  if (bad !== undefined || broken) throw new Error(`Cannot measure ${url}: ${bad ?? errors?.[0].trim()}`);
  return Number(rate);
}

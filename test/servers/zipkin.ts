// A real Zipkin server with its memory storage, on a loopback port.

import { fetchJar } from './cache.ts';
import { startServer } from './process.ts';

/** The newest release; it asks for Java 17 or newer. */
const VERSION = '3.6.1';

/** A span as Zipkin's API gives it back. */
export interface ZipkinSpan {
  readonly traceId: string;
  readonly id: string;
  readonly parentId?: string;
  readonly kind?: string;
  readonly name?: string;
  readonly timestamp?: number;
  readonly duration?: number;
  readonly localEndpoint?: ZipkinEndpoint;
  readonly remoteEndpoint?: ZipkinEndpoint;
  readonly tags?: Readonly<Record<string, string>>;
}

export interface ZipkinEndpoint {
  readonly serviceName?: string;
  readonly ipv4?: string;
  readonly ipv6?: string;
  readonly port?: number;
}

export interface ZipkinServer {
  /** http://127.0.0.1:PORT */
  readonly url: string;
  /** All spans of a trace; empty while the server knows none. */
  trace(traceId: string): Promise<readonly ZipkinSpan[]>;
  stop(): Promise<void>;
}

/** Fetches Zipkin if needed (130 MB, once) and starts it; takes a few seconds. */
export async function startZipkin(): Promise<ZipkinServer> {
  const jar = await fetchJar({ group: 'io.zipkin', name: 'zipkin-server', version: VERSION, classifier: 'exec' });
  const server = await startServer({
    command: [
      'java',
      '-Xmx256m',
      '-XX:+UseSerialGC',
      '-XX:TieredStopAtLevel=1', // a server that lives for seconds
      '-Darmeria.ports[0].ip=127.0.0.1',
      '-Darmeria.ports[0].port=0',
      '-Darmeria.ports[0].protocols=http',
      '-jar',
      jar,
    ],
    ready: [/Serving HTTP at \S+ - (http:\/\/127\.0\.0\.1:\d+)\//],
    timeoutMs: 60_000,
  });
  const url = server.matches[0] as string; // one expression, one match
  return {
    url,
    async trace(traceId) {
      const response = await fetch(`${url}/api/v2/trace/${traceId}`);
      if (response.status === 404) return [];
      if (!response.ok) throw new Error(`Cannot read trace ${traceId}: Zipkin answered ${response.status}`);
      return (await response.json()) as ZipkinSpan[];
    },
    stop: server.stop,
  };
}

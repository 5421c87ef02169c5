// The way of finished spans to the backends: queues, batches, exporters. Runs off the thread that serves requests.

import { err, ok, type Result } from '#common/result.ts';
import { type BackendStats, createExporter, type Exporter } from './exporter.ts';
import { type CpuMeter, createCpuMeter } from './meter.ts';
import { createRecordQueue, createZipkinQueue } from './queue.ts';
import type { SpanRecord } from './span.ts';

/** Where spans go; a backend that is undefined gets none. */
export interface Backends {
  readonly zipkin: URL | undefined;
  readonly otlpGrpc: URL | undefined;
  readonly otlpHttp: URL | undefined;
}

export interface SpanPipelineOptions {
  readonly backends: Backends;
  /** Most spans that wait for one backend; more are dropped and counted. A span needs about 1 KiB. */
  readonly queueSize?: number;
  readonly batchSize?: number;
  /** Longest time a span waits for its batch to fill. */
  readonly intervalMs?: number;
  /** Counts the CPU time that sending takes. */
  readonly meter?: CpuMeter;
}

export interface SpanPipeline {
  /** Hands a finished span to every backend; returns at once, whatever state they are in. */
  record(span: SpanRecord): void;
  /** One entry for each backend. A span counts once for each. */
  stats(): readonly BackendStats[];
  /** Sends what waits, for at most 5 s, and disconnects. */
  close(): Promise<void>;
}

export const DEFAULT_QUEUE_SIZE = 8_192;
export const DEFAULT_BATCH_SIZE = 512;
export const DEFAULT_INTERVAL_MS = 1_000;
const CLOSE_TIMEOUT_MS = 5_000;

/**
 * Reads backend addresses from options; an empty text means none. A Zipkin or OTLP/HTTP address without a path gets the
 * usual one. Returns every problem.
 */
export function readBackends(texts: Readonly<Record<keyof Backends, string>>): Result<Backends, readonly string[]> {
  const problems: string[] = [];
  const read = (name: string, text: string, path: string): URL | undefined => {
    if (text === '') return undefined;
    const url = URL.parse(text);
    if (url === null || !/^https?:$/.test(url.protocol)) {
      problems.push(`Cannot export spans to ${name} at "${text}": not a URL of the form http://HOST:PORT`);
      return undefined;
    }
    if (url.pathname === '/') url.pathname = path;
    return url;
  };
  const backends = {
    zipkin: read('Zipkin', texts.zipkin, '/api/v2/spans'),
    otlpGrpc: read('OTLP over gRPC', texts.otlpGrpc, '/'),
    otlpHttp: read('OTLP over HTTP', texts.otlpHttp, '/v1/traces'),
  };
  return problems.length > 0 ? err(problems) : ok(backends);
}

/** A pipeline to the given backends. What a backend needs is loaded with its first span: an idle process pays nothing. */
export function createSpanPipeline(options: SpanPipelineOptions): SpanPipeline {
  const { zipkin, otlpGrpc, otlpHttp } = options.backends;
  const sizes = {
    limit: options.queueSize ?? DEFAULT_QUEUE_SIZE,
    batchSize: options.batchSize ?? DEFAULT_BATCH_SIZE,
  };
  const common = {
    batchSize: sizes.batchSize,
    intervalMs: options.intervalMs ?? DEFAULT_INTERVAL_MS,
    meter: options.meter ?? createCpuMeter(),
  };
  const exporters: Exporter[] = [];
  if (zipkin) {
    const open = async () => (await import('./zipkin-sink.ts')).createZipkinSink(zipkin);
    exporters.push(createExporter({ ...common, backend: 'zipkin', queue: createZipkinQueue(sizes), open }));
  }
  if (otlpGrpc) {
    const open = async () => (await import('./otlp-sink.ts')).createOtlpGrpcSink(otlpGrpc);
    exporters.push(createExporter({ ...common, backend: 'otlp-grpc', queue: createRecordQueue(sizes), open }));
  }
  if (otlpHttp) {
    const open = async () => (await import('./otlp-sink.ts')).createOtlpHttpSink(otlpHttp);
    exporters.push(createExporter({ ...common, backend: 'otlp-http', queue: createRecordQueue(sizes), open }));
  }
  return {
    record(span) {
      for (const exporter of exporters) exporter.record(span);
    },
    stats: () => exporters.map((exporter) => exporter.stats()),
    async close() {
      await Promise.all(exporters.map((exporter) => exporter.close(CLOSE_TIMEOUT_MS)));
    },
  };
}

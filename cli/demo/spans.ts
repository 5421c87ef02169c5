// A small collector of spans (Zipkin v2 JSON) inside the node's namespace, and traces as trees.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { nodeLayout } from '#agent/layout.ts';

export const COLLECTOR_PORT = 9411;
const COLLECTOR = new URL('./collector.ts', import.meta.url).pathname;
/** Spans kept; the demo makes a handful. */
const MAX_SPANS = 1_000;

/** The fields of a Zipkin v2 span that the tree shows. `duration` in µs. */
export interface ZipkinSpan {
  readonly traceId: string;
  readonly id: string;
  readonly parentId?: string;
  readonly name?: string;
  readonly kind?: string;
  readonly timestamp?: number;
  readonly duration?: number;
  readonly localEndpoint?: { readonly serviceName?: string };
  readonly tags?: Readonly<Record<string, string>>;
}

export interface Collector extends AsyncDisposable {
  /** Spans of a trace that have arrived. */
  trace(traceId: string): readonly ZipkinSpan[];
}

/** Starts the collector in the namespace of `node`, on its loopback. */
export async function startCollector(node: string): Promise<Collector> {
  const { netnsPath } = nodeLayout(node, '');
  const child = spawn('nsenter', [`--net=${netnsPath}`, process.execPath, COLLECTOR, String(COLLECTOR_PORT)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const spans: ZipkinSpan[] = [];
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => {
    if (line !== 'ready' && spans.length < MAX_SPANS) spans.push(JSON.parse(line) as ZipkinSpan);
  });
  const [first] = (await Promise.race([once(lines, 'line'), once(child, 'exit')])) as [unknown];
  if (first !== 'ready') throw new Error(`Cannot collect spans: the collector ended with ${String(first)}`);
  return {
    trace: (traceId) => spans.filter((span) => span.traceId === traceId),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) return;
      const ended = once(child, 'exit');
      child.kill();
      await ended;
    },
  };
}

/** A trace as lines: children below their parents, in the order of time. */
export function traceTree(spans: readonly ZipkinSpan[]): string[] {
  const ids = new Set(spans.map(({ id }) => id));
  const byTime = [...spans].sort((a, b) => (a.timestamp ?? 0) - (b.timestamp ?? 0));
  const childrenOf = (parent: string | undefined): ZipkinSpan[] =>
    byTime.filter(({ parentId }) => (parent === undefined ? !parentId || !ids.has(parentId) : parentId === parent));
  const render = (span: ZipkinSpan, prefix: string, isLast: boolean): string[] => {
    const below = childrenOf(span.id);
    return [
      `${prefix}${isLast ? '└─' : '├─'} ${describe(span)}`,
      ...below.flatMap((child, i) => render(child, `${prefix}${isLast ? '   ' : '│  '}`, i === below.length - 1)),
    ];
  };
  const roots = childrenOf(undefined);
  return roots.flatMap((root, i) => render(root, '', i === roots.length - 1));
}

function describe({ localEndpoint, kind, name, duration, tags }: ZipkinSpan): string {
  const status = tags?.['http.response.status_code'] ?? tags?.['http.status_code'];
  const took = `${((duration ?? 0) / 1000).toFixed(1)} ms`;
  return [localEndpoint?.serviceName, kind, name, status, took].filter(Boolean).join('  ');
}

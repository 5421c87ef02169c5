// The node's status, put together from tables and providers.

import type { MapStatus, NodeStatus, ObjectStatus } from '#api/node.ts';
import type { Tables } from '../tables.ts';
import { podView } from './pods.ts';
import { createSelection } from './policies.ts';
import type { NodeProviders } from './providers.ts';

export interface StatusOptions {
  readonly node: string;
  readonly version: string;
  /** The directory that the node runs. */
  readonly source: string;
  readonly tables: Tables;
  readonly providers: NodeProviders;
}

/** Reasons that are spelled out in `message`; more are counted. */
const MAX_REASONS = 3;

/** The status of the node as it is now. Ready: all objects in force, all pods running, all workers attached, and the
 * maps hold what they should. */
export function nodeStatus(options: StatusOptions): NodeStatus {
  const { providers, tables } = options;
  const objects = objectStatuses(tables, providers).sort(byPlace);
  const components = providers.components();
  const workers = providers.workers();
  const maps = providers.maps().map(mapStatus);
  const reasons = [
    ...components.filter((c) => c.state !== 'ok').map((c) => `${c.name} is ${c.state}${c.message && `: ${c.message}`}`),
    ...objects.filter((o) => !o.accepted).map((o) => `${o.kind} ${o.name || o.file} is refused`),
    ...podReasons(tables, providers),
    ...maps.filter((map) => map.lastError !== '').map((map) => `map ${map.name} lacks entries: ${map.lastError}`),
    ...(workers.length === 0 ? ['no proxy worker is attached'] : []),
    ...workers.filter((w) => w.state !== 'attached').map((w) => `proxy worker ${w.slot} is ${w.state}`),
  ];
  return {
    node: options.node,
    pid: process.pid,
    version: options.version,
    ready: reasons.length === 0,
    message: summary(reasons),
    policyRevision: providers.policyRevision(),
    source: options.source,
    components,
    objects,
    maps,
    workers,
  };
}

function podReasons(tables: Tables, { runtime }: NodeProviders): string[] {
  const reasons: string[] = [];
  for (const [key, row] of tables.inputs.pods.entries()) {
    const { status, message, isFine } = podView(row, runtime.statuses.get(key));
    if (!isFine) reasons.push(`pod ${key} is ${status}${message && `: ${message}`}`);
  }
  return reasons;
}

function objectStatuses(tables: Tables, providers: NodeProviders): ObjectStatus[] {
  const selection = createSelection(tables);
  return [...tables.objects.entries()].map(([key, row]) => {
    const { kind, namespace, name, file, line, accepted, problems } = row;
    const policy = tables.inputs.policies.get(key);
    const endpoints = policy ? selection(policy).length : 0;
    const revision = (policy && providers.policyRevisionOf(key)) ?? 0;
    return { kind, namespace, name, file, line, accepted, problems, endpoints, revision };
  });
}

function mapStatus({ name, entries, capacity, errors, lastError }: MapStatus): MapStatus {
  return { name, entries, capacity, errors, lastError };
}

function byPlace(a: ObjectStatus, b: ObjectStatus): number {
  return a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line;
}

function summary(reasons: readonly string[]): string {
  const more = reasons.length - MAX_REASONS;
  return `${reasons.slice(0, MAX_REASONS).join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
}

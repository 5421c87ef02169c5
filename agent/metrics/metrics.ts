// Every metric of the agent. Names under cilium_ and hubble_ are those that its users' dashboards know.

import { performance } from 'node:perf_hooks';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { dropReasonText } from '#observe/flow/drop-reasons.ts';
import type { FlowSink } from '../flows/pipeline.ts';
import type { Tables } from '../tables.ts';
import { ENFORCEMENT_STATES, enforcementState } from './enforcement.ts';
import { createFlowMetrics } from './flows.ts';
import type { MetricsProviders } from './providers.ts';

/** Parts of the start-up that are timed. */
export type BootstrapScope = 'source' | 'maps' | 'programs' | 'endpoints' | 'workers' | 'overall';

export interface AgentMetrics {
  /** Prometheus text of everything. */
  text(): Promise<string>;
  readonly contentType: string;
  /** Names, types, labels and help of all metrics, for docs/metrics.md. */
  readonly registry: Registry;
  /** Takes flows, access records and losses from the flow pipeline. */
  readonly flows: FlowSink;
  /** A policy object was accepted (`success`) or refused (`fail`), or taken away. */
  policyChanged(outcome: 'success' | 'fail'): void;
  /** Time from the saved change to the last map write. */
  policyImplemented(source: 'file' | 'cni', seconds: number): void;
  /** One pass over the conntrack map. */
  conntrackCollected(run: ConntrackRun): void;
  bootstrapped(scope: BootstrapScope, outcome: 'success' | 'fail', seconds: number): void;
}

export interface ConntrackRun {
  readonly completed: boolean;
  readonly seconds: number;
  readonly alive: number;
  readonly deleted: number;
}

const DIRECTIONS = { ingress: 'INGRESS', egress: 'EGRESS' } as const;
const MAX_SAMPLES_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** The metrics of one agent. Values of tables and kernel maps are read when the text is asked for. */
export function createAgentMetrics(options: {
  readonly tables: Tables;
  readonly providers: MetricsProviders;
  readonly version: string;
}): AgentMetrics {
  const registry = new Registry();
  const registers = [registry];
  const { tables, providers } = options;

  registerDatapath(registry, providers);
  registerTables(registry, tables, providers);
  registerProcess(registry);

  const version = new Gauge({
    name: 'cilium_version',
    help: 'Version of the agent; always 1.',
    labelNames: ['version', 'arch'],
    registers,
  });
  version.set({ version: options.version, arch: process.arch }, 1);

  const policyChange = new Counter({
    name: 'cilium_policy_change_total',
    help: 'Policy objects accepted or refused.',
    labelNames: ['outcome'],
    registers,
  });
  policyChange.inc({ outcome: 'success' }, 0);
  policyChange.inc({ outcome: 'fail' }, 0);

  const implementation = new Histogram({
    name: 'cilium_policy_implementation_delay',
    help: 'Seconds from a policy change to the last map write that it needed.',
    labelNames: ['source'],
    buckets: MAX_SAMPLES_SECONDS,
    registers,
  });
  const bootstrap = new Gauge({
    name: 'cilium_agent_bootstrap_seconds',
    help: 'Seconds that a part of the start took.',
    labelNames: ['scope', 'outcome'],
    registers,
  });
  const conntrack = conntrackMetrics(registry);

  return {
    text: () => registry.metrics(),
    contentType: registry.contentType,
    registry,
    flows: createFlowMetrics(registry),
    policyChanged: (outcome) => policyChange.inc({ outcome }),
    policyImplemented: (source, seconds) => implementation.observe({ source }, seconds),
    conntrackCollected: conntrack,
    bootstrapped: (scope, outcome, seconds) => bootstrap.set({ scope, outcome }, seconds),
  };
}

function conntrackMetrics(registry: Registry): (run: ConntrackRun) => void {
  const registers = [registry];
  const runs = new Counter({
    name: 'cilium_datapath_conntrack_gc_runs_total',
    help: 'Passes over the conntrack map.',
    labelNames: ['status'],
    registers,
  });
  const entries = new Gauge({
    name: 'cilium_datapath_conntrack_gc_entries',
    help: 'Conntrack entries that the last pass left or removed.',
    labelNames: ['status'],
    registers,
  });
  const duration = new Histogram({
    name: 'cilium_datapath_conntrack_gc_duration_seconds',
    help: 'Seconds that a pass over the conntrack map took.',
    labelNames: ['status'],
    buckets: MAX_SAMPLES_SECONDS,
    registers,
  });
  return (run) => {
    const status = run.completed ? 'completed' : 'uncompleted';
    runs.inc({ status });
    duration.observe({ status }, run.seconds);
    entries.set({ status: 'alive' }, run.alive);
    entries.set({ status: 'deleted' }, run.deleted);
  };
}

function registerDatapath(registry: Registry, providers: MetricsProviders): void {
  // Each family reads the map on its own: a scrape is rare, and the values within one family must fit each other.
  const packets = (name: string, options: { help: string; unit: 'packets' | 'bytes'; dropped: boolean }): void => {
    scraped(
      registry,
      { name, help: options.help, labelNames: options.dropped ? ['reason', 'direction'] : ['direction'] },
      (set) => {
        for (const counter of providers.packetCounters()) {
          if ((counter.reason !== 0) !== options.dropped) continue;
          const direction = DIRECTIONS[counter.direction];
          const labels = options.dropped ? { reason: dropReasonText(counter.reason), direction } : { direction };
          set(labels, counter[options.unit]);
        }
      },
    );
  };
  packets('cilium_drop_count_total', { help: 'Packets dropped.', unit: 'packets', dropped: true });
  packets('cilium_drop_bytes_total', { help: 'Bytes dropped.', unit: 'bytes', dropped: true });
  packets('cilium_forward_count_total', { help: 'Packets forwarded.', unit: 'packets', dropped: false });
  packets('cilium_forward_bytes_total', { help: 'Bytes forwarded.', unit: 'bytes', dropped: false });

  const operations = { name: 'cilium_bpf_map_ops_total', help: 'Operations on eBPF maps.' };
  scraped(registry, { ...operations, labelNames: ['map_name', 'operation', 'outcome'] }, (set) => {
    for (const { name, updates, deletes, errors } of providers.maps()) {
      set({ map_name: name, operation: 'update', outcome: 'success' }, updates);
      set({ map_name: name, operation: 'delete', outcome: 'success' }, deletes);
      set({ map_name: name, operation: 'write', outcome: 'fail' }, errors);
    }
  });
  const losses = { name: 'weir_kernel_losses_total', help: 'What the kernel programs lost for want of room.' };
  scraped(registry, { ...losses, labelNames: ['kind'] }, (set) => {
    for (const { kind, count } of providers.kernelLosses()) set({ kind }, count);
  });
  new Gauge({
    name: 'cilium_bpf_map_pressure',
    help: 'Share of an eBPF map that is in use.',
    labelNames: ['map_name'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { name, entries, capacity } of providers.maps()) {
        if (capacity > 0) this.set({ map_name: name }, entries / capacity);
      }
    },
  });
}

/** A counter whose values are kept elsewhere and are read at each scrape; values of equal labels are added up. */
function scraped(
  registry: Registry,
  spec: { readonly name: string; readonly help: string; readonly labelNames: readonly string[] },
  read: (set: (labels: Readonly<Record<string, string>>, value: number) => void) => void,
): void {
  new Counter({
    ...spec,
    labelNames: [...spec.labelNames],
    registers: [registry],
    collect() {
      this.reset();
      read((labels, value) => this.inc(labels, value));
    },
  });
}

function registerTables(registry: Registry, tables: Tables, providers: MetricsProviders): void {
  const gauge = (
    name: string,
    spec: { readonly help: string; readonly labelNames?: string[] },
    read: (add: (labels: Readonly<Record<string, string>>, value: number) => void) => void,
  ): void => {
    new Gauge({
      name,
      help: spec.help,
      labelNames: spec.labelNames ?? [],
      registers: [registry],
      collect() {
        this.reset();
        read((labels, value) => this.inc(labels, value));
      },
    });
  };
  const { endpoints, policies } = tables.inputs;
  const { enforcement, endpoints: admitted, identities, policy, frontends } = tables.desired;
  gauge('cilium_endpoint', { help: 'Endpoints of this node.' }, (add) => add({}, endpoints.size));
  gauge('cilium_endpoint_state', { help: 'Endpoints by state.', labelNames: ['state'] }, (add) => {
    const states = { 'waiting-for-identity': 0, ready: 0, 'not-ready': 0 };
    for (const [key, row] of endpoints.entries()) {
      if (!enforcement.get(key) && !admitted.get(key)) states['waiting-for-identity']++;
      else states[row.ready ? 'ready' : 'not-ready']++;
    }
    for (const [state, count] of Object.entries(states)) add({ state }, count);
  });
  gauge('cilium_policy', { help: 'Policies in force.' }, (add) => add({}, policies.size));
  gauge('cilium_policy_max_revision', { help: 'Policy revision in force.' }, (add) =>
    add({}, providers.policyRevision()),
  );
  const status = {
    help: 'Endpoints by the directions that are under policy; audit-…: in audit mode.',
    labelNames: ['enforcement'],
  };
  gauge('cilium_policy_endpoint_enforcement_status', status, (add) => {
    for (const enforcement of ENFORCEMENT_STATES) add({ enforcement }, 0);
    for (const row of enforcement.values()) add({ enforcement: enforcementState(row) }, 1);
  });
  gauge('cilium_identity', { help: 'Identities in use.', labelNames: ['type'] }, (add) => {
    for (const type of ['reserved', 'cluster_local', 'node_local']) add({ type }, 0);
    for (const { identity } of identities.values()) {
      add({ type: identity < 256 ? 'reserved' : identity < 1 << 24 ? 'cluster_local' : 'node_local' }, 1);
    }
  });
  gauge('cilium_ip_addresses', { help: 'Addresses given to endpoints.', labelNames: ['family'] }, (add) => {
    add({ family: 'ipv4' }, 0);
    add({ family: 'ipv6' }, 0);
    for (const row of endpoints.values()) {
      if (row.ip4 !== undefined) add({ family: 'ipv4' }, 1);
      if (row.ip6 !== undefined) add({ family: 'ipv6' }, 1);
    }
  });
  gauge(
    'cilium_proxy_redirects',
    { help: 'Policy entries that lead to the proxy.', labelNames: ['protocol'] },
    (add) => {
      add({ protocol: 'http' }, 0);
      for (const { action } of policy.values()) if (action === 'redirect') add({ protocol: 'http' }, 1);
    },
  );
  gauge('weir_service_frontends', { help: 'Service frontends in force.' }, (add) => add({}, frontends.size));
  gauge('weir_refused_objects', { help: 'Objects and files that are not in force as written.' }, (add) =>
    add({}, [...tables.objects.values()].filter((row) => !row.accepted).length),
  );
  gauge('weir_proxy_workers', { help: 'Proxy workers by state.', labelNames: ['state'] }, (add) => {
    add({ state: 'attached' }, 0);
    for (const { state } of providers.workers()) add({ state }, 1);
  });
  scraped(
    registry,
    { name: 'weir_proxy_worker_restarts_total', help: 'Proxy workers replaced.', labelNames: [] },
    (set) => {
      set(
        {},
        providers.workers().reduce((sum, worker) => sum + worker.restarts, 0),
      );
    },
  );
}

function registerProcess(registry: Registry): void {
  const registers = [registry];
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Memory of the agent.',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Gauge({
    name: 'process_start_time_seconds',
    help: 'When the agent started, in seconds since 1970.',
    registers,
  }).set(performance.timeOrigin / 1_000);
  scraped(registry, { name: 'process_cpu_seconds_total', help: 'CPU time of the agent.', labelNames: [] }, (set) => {
    const { user, system } = process.cpuUsage();
    set({}, (user + system) / 1e6);
  });
}

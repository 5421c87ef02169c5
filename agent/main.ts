// The agent: tables in the middle, sources and CNI before them, compute and sync behind. Parts start in the order in which
// they need each other and stop in reverse. What it leaves when it ends goes on: programs, maps, workers and pods.

import { readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type AttachMode, type Datapath, openDatapath } from '#bpf/loader.ts';
import { createLifecycle, type Lifecycle } from '#common/lifecycle.ts';
import { createLogger, type Logger } from '#common/log.ts';
import { readOptions } from '#common/options.ts';
import { policyHits } from './api/hits.ts';
import { createRealised } from './api/realised.ts';
import { serveAgentApi } from './api/server.ts';
import { createCniHooks } from './cni/hooks.ts';
import { type CniPlugin, createCniPlugin } from './cni/plugin.ts';
import { startCniServer } from './cni/server.ts';
import { type Compute, createCompute } from './compute/compute.ts';
import { type PolicySettings, readPolicySettings } from './compute/settings.ts';
import { createProxyControl, type ProxyControlOptions } from './control/control.ts';
import { startResolver } from './dns/server.ts';
import { createFlowPipeline, type FlowPipeline } from './flows/pipeline.ts';
import { collectWhileIdle } from './idle-collection.ts';
import { METRICS_PORT, type NodeLayout, nodeLayout } from './layout.ts';
import { type AgentMetrics, createAgentMetrics } from './metrics/metrics.ts';
import { followPolicies } from './metrics/policies.ts';
import { serveMetrics } from './metrics/server.ts';
import { findCgroupRoot } from './node/cgroup.ts';
import { type NodeWatch, watchNode } from './node/watch-node.ts';
import { AGENT_OPTIONS, type AgentOptions } from './options.ts';
import { components, metricsProviders, type Parts, workerStatuses } from './providers.ts';
import { createReconciler, type Reconciler } from './reconcile.ts';
import { DNS_PORT, RESOLVER_KEY, resolverEndpoint } from './resolver-endpoint.ts';
import { startRuntime } from './runtime/runtime.ts';
import { watchDirectory } from './sources/directory.ts';
import { watchNames } from './sources/names.ts';
import { nodeConfig, startWorkers } from './steering.ts';
import { type Conntrack, conntrackTable, createConntrack } from './sync/conntrack.ts';
import { createSync, type Sync } from './sync/sync.ts';
import { createTables, HOST_ENDPOINT, type Tables } from './tables.ts';
import { watchConntrack, watchLateWorkers, watchLosses } from './watch.ts';

async function start(options: AgentOptions, log: Logger, lifecycle: Lifecycle): Promise<void> {
  const begun = performance.now();
  const context = createContext(options, log, lifecycle);
  const core = await startCore(context);
  const flows = watchFlows(context, core);
  const { cni, reconciler } = await startPolicy(context, core, flows);
  await startNode(context, { ...core, ...flows, cni });
  await reconciler.settled();
  const seconds = (performance.now() - begun) / 1_000;
  flows.metrics.bootstrapped('overall', 'success', seconds);
  log.info({ seconds }, 'agent started');
  flushCompileCache(); // an agent that is killed would leave its successor to read all of TypeScript anew
}

interface Context {
  readonly options: AgentOptions;
  readonly log: Logger;
  readonly lifecycle: Lifecycle;
  readonly layout: NodeLayout;
  readonly tables: Tables;
  readonly settings: PolicySettings;
  readonly workerCount: number;
  readonly version: string;
}

function createContext(options: AgentOptions, log: Logger, lifecycle: Lifecycle): Context {
  const root = findCgroupRoot();
  if (!root.ok) throw new Error(root.error);
  const layout = nodeLayout(options.node, root.value);
  const tables = createTables();
  tables.inputs.endpoints.set(RESOLVER_KEY, resolverEndpoint(layout.addresses));
  const { policyEnforcement: enforcement, labels, policyAudit: audit } = options;
  const settings = readPolicySettings({ enforcement, labels, audit });
  if (!settings.ok) throw new Error(settings.error);
  const workerCount = options.workers === 0 ? availableParallelism() : options.workers;
  return { options, log, lifecycle, layout, tables, settings: settings.value, workerCount, version: packageVersion() };
}

interface Core {
  readonly datapath: Datapath;
  readonly compute: Compute;
  readonly sync: Sync;
  readonly conntrack: Conntrack;
  readonly node: Pick<NodeWatch, 'nameServers'>;
  readonly parts: Parts;
  /** Takes the workers' records once somebody wants them. */
  readonly records: { take: ProxyControlOptions['onRecords'] };
}

/** Programs and maps, the channel to the proxies, compute and sync. Nothing is written but the node's settings. */
async function startCore({ options, log, lifecycle, layout, tables, settings, workerCount }: Context): Promise<Core> {
  const datapath = openDatapath({ bpffs: layout.bpffs, attachMode: options.attachMode as AttachMode | 'auto' });
  lifecycle.add('datapath', () => datapath.close());
  datapath.attachCgroup(layout.cgroup);
  const isPoliced = (): boolean => tables.desired.enforcement.get(HOST_ENDPOINT) !== undefined;
  const node = await watchNode(layout, { datapath, log, isPoliced });
  lifecycle.add('device programs', prepareDevices(tables, datapath, log));
  lifecycle.add('node', () => node.close());
  const records: Core['records'] = { take: () => {} };
  const control = await createProxyControl({
    path: layout.proxySocket,
    desired: tables.desired,
    onRecords: (batch, from) => records.take(batch, from),
    onWorkers: () => log.info('proxy workers changed'),
  });
  lifecycle.add('proxy control', () => control.close());
  const compute = createCompute(tables, { layout, statePath: join(layout.stateDir, 'numbers.json'), settings });
  lifecycle.add('compute', () => compute.close());
  const conntrack = createConntrack(conntrackTable(datapath), bootSeconds);
  const config = nodeConfig(workerCount, { audit: options.policyAudit });
  const sync = createSync({
    tables,
    maps: datapath.maps,
    proxies: control,
    conntrack,
    config,
    nameServers: node.nameServers,
  });
  lifecycle.add('sync', () => sync.close());
  return {
    datapath,
    compute,
    sync,
    conntrack,
    node,
    records,
    parts: { datapath, sync, control, compute, node, late: {} },
  };
}

interface Flows {
  readonly metrics: AgentMetrics;
  readonly pipeline: FlowPipeline;
}

/** From here on everything that happens is seen. */
function watchFlows({ lifecycle, layout, tables, version }: Context, core: Core): Flows {
  const { datapath, conntrack } = core;
  const metrics = createAgentMetrics({ tables, providers: metricsProviders(core.parts), version });
  const revision = (): number => core.sync.revision();
  const pipeline = createFlowPipeline({ node: layout.node, tables, sink: metrics.flows, revision });
  core.records.take = (batch, { dropped }) => pipeline.accessRecords(batch, dropped);
  lifecycle.add('flows', () => pipeline.close());
  const ring = datapath.events((events) => {
    for (const event of events) pipeline.kernelEvent(event);
  });
  lifecycle.add('events', () => ring[Symbol.dispose]());
  lifecycle.add(
    'losses',
    watchLosses(datapath, (count) => pipeline.lost('PERF_EVENT_RING_BUFFER', count)),
  );
  lifecycle.add('conntrack', watchConntrack(conntrack, metrics));
  return { metrics, pipeline };
}

/** Reads what shall be, adopts what is, and brings the kernel from the one to the other. */
async function startPolicy(
  { options, log, lifecycle, layout, tables }: Context,
  core: Core,
  { metrics }: Flows,
): Promise<{ readonly cni: CniPlugin; readonly reconciler: Reconciler }> {
  const { compute, sync, datapath, node, parts } = core;
  const realised = createRealised(tables.inputs.policies);
  lifecycle.add('realised', () => realised.close());
  parts.late.realised = realised;
  const step = (): boolean => {
    realised.begin();
    return compute.step();
  };
  const reconciler = createReconciler({
    compute: { step },
    sync,
    onRound(outcome, seconds) {
      if (outcome instanceof Error) {
        log.error({ error: outcome.message }, 'update failed');
        return;
      }
      realised.end(outcome);
      metrics.policyImplemented('file', seconds);
      log.debug({ ...outcome, seconds }, 'update in force');
    },
    onIdle: collectWhileIdle,
  });
  lifecycle.add('reconciler', () => reconciler.close());
  parts.late.reconciler = reconciler;
  const cni = createCniPlugin({ layout, tables, log, hooks: createCniHooks({ datapath, reconciler, sync }) });
  lifecycle.add('cni', () => cni.close());
  await cni.adopt();
  const { dir, nodePeers, namesFile } = options;
  const source = watchDirectory({ dir, tables, node: layout.node, nodePeers });
  lifecycle.add('source', () => source.close());
  if (namesFile !== '') {
    const names = watchNames(namesFile, tables.inputs.names);
    lifecycle.add('names', () => names.close());
    parts.late.names = names;
  }
  parts.late.source = source;
  for (const table of [...Object.values(tables.inputs), node.nameServers]) table.subscribe(() => reconciler.poke());
  followPolicies(tables, metrics);
  await reconciler.settled();
  return { cni, reconciler };
}

/** Proxies, names, pods, and what people ask. */
async function startNode(context: Context, core: Core & Flows & { readonly cni: CniPlugin }): Promise<void> {
  const { options, log, lifecycle, layout, tables, workerCount, version } = context;
  const { datapath, sync, metrics, pipeline, parts, cni } = core;
  const workers = startWorkers({ count: workerCount, layout, datapath, options, log });
  lifecycle.add('workers', () => workers.release());
  parts.late.workers = workers;
  const stopWatching = watchLateWorkers(parts.control, ({ slot, pid }) => {
    log.error({ slot, pid }, 'worker does not take up updates: replacing it');
    workers.kill(slot);
  });
  lifecycle.add('late workers', stopWatching);
  const { resolver4, resolver6 } = layout.addresses;
  const resolver = await startResolver({
    addresses: [resolver4, resolver6],
    port: DNS_PORT,
    names: tables.desired.dns,
  });
  lifecycle.add('resolver', () => resolver.close());
  const cniServer = await startCniServer({ path: layout.cniSocket, plugin: cni, log });
  lifecycle.add('cni server', () => cniServer.close());
  const runtime = await startRuntime({ layout, tables: tables.inputs, cni, log });
  lifecycle.add('runtime', () => runtime.close());
  const http = await serveMetrics(metrics, { host: '127.0.0.1', port: METRICS_PORT });
  lifecycle.add('metrics', () => http.close());
  const api = await serveAgentApi({
    socket: layout.agentSocket,
    node: layout.node,
    version,
    source: options.dir,
    tables,
    ring: pipeline.ring,
    onLost: (count) => metrics.flows.lost('HUBBLE_RING_BUFFER', count),
    providers: {
      runtime,
      maps: () => sync.maps(),
      components: () => components(parts),
      workers: () => workerStatuses(parts),
      policyRevision: () => sync.revision(),
      policyRevisionOf: (key) => parts.late.realised?.revisionOf(key),
      policyHits: () => policyHits(tables.desired.policy, datapath.maps.policy_counters),
      metricsText: () => metrics.text(),
    },
  });
  lifecycle.add('api', () => api.close());
}

/** While the node is under policy, its first device must not wait for programs to be loaded. */
function prepareDevices(tables: Tables, datapath: Datapath, log: Logger): () => void {
  return tables.desired.enforcement.subscribe(({ after }) => {
    if (after?.endpoint !== HOST_ENDPOINT) return;
    try {
      datapath.prepareDevices();
    } catch (error) {
      log.error({ error: (error as Error).message }, 'programs of devices cannot be loaded'); // as the first device will show
    }
  });
}

function bootSeconds(): number {
  return Math.floor(Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]));
}

function packageVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

const options = readOptions(AGENT_OPTIONS, process.argv.slice(2), process.env);
if (!options.ok) {
  for (const problem of options.error) console.error(problem);
  process.exit(2);
}
const log = createLogger('agent', options.value.logLevel);
const lifecycle = createLifecycle();
const end = async (code: number): Promise<never> => {
  await lifecycle.stop((name, error) => log.warn({ part: name, error: String(error) }, 'part did not stop'));
  process.exit(code);
};
process.once('SIGTERM', () => void end(0));
process.once('SIGINT', () => void end(0));
process.on('uncaughtException', (error) => {
  log.fatal({ error: error.stack }, 'agent failed');
  process.exit(1);
});
log.info(options.value, 'options');
try {
  await start(options.value, log, lifecycle);
} catch (error) {
  log.fatal({ error: (error as Error).stack }, 'agent cannot start');
  await end(1);
}

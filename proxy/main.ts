// A proxy worker: the main thread. It talks to the agent, exports metrics and spans; the data thread serves connections.

import { createLogger, type Logger } from '#common/log.ts';
import { optionArgs, readOptions } from '#common/options.ts';
import { createIdSource } from '#tracing/ids.ts';
import { type CpuMeter, createCpuMeter } from '#tracing/meter.ts';
import { createSpanPipeline, readBackends, type SpanPipeline } from '#tracing/pipeline.ts';
import { type ControlClient, startControlClient } from './control/client.ts';
import { createWorkloads, rulesOrder } from './control/messages.ts';
import { type DataThread, startDataThread, warmDataThread } from './data-thread-handle.ts';
import { createMetrics, serveMetrics } from './metrics.ts';
import { limitsOf, PROXY_OPTIONS, type ProxyOptions } from './options.ts';
import type { Report, SourceOrder } from './orders.ts';
import { type Shipping, type Spans, startShipping } from './records/shipping.ts';
import { createSpanBudget, readTimes, type SpanBudget } from './records/span-budget.ts';

const BUILD = '0.1.0';

/** How long the data thread may take to stop once it is told to. */
const STOP_TIMEOUT_MS = 2_000;
/** How often it is looked at what spans cost. */
const SPAN_BUDGET_MS = 1_000;

function spanPipeline(options: ProxyOptions, meter: CpuMeter, log: Logger): SpanPipeline | undefined {
  const { zipkinUrl, otlpGrpcUrl, otlpHttpUrl } = options;
  const backends = readBackends({ zipkin: zipkinUrl, otlpGrpc: otlpGrpcUrl, otlpHttp: otlpHttpUrl });
  if (!backends.ok) {
    for (const problem of backends.error) log.error({ problem }, 'option refused');
    process.exit(2);
  }
  const some = Object.values(backends.value).some((url) => url !== undefined);
  return some ? createSpanPipeline({ backends: backends.value, meter }) : undefined;
}

/** Runs a worker until it is drained. */
function main(options: ProxyOptions): void {
  const log = createLogger('proxy', options.logLevel);
  log.info({ slot: options.slot, options: optionArgs(options) }, 'worker starts');
  const workloads = createWorkloads();
  const meter = createCpuMeter();
  const pipeline = spanPipeline(options, meter, log);
  let ready = false;
  let ending = false;
  let exitCode = 0;
  // Reports arrive on the event loop, so after everything below exists.
  const onReport = (report: Report): void => {
    switch (report.kind) {
      case 'applied':
        ready = true;
        control.acknowledge(report.version);
        return;
      case 'policies':
      case 'policies retired':
        shipping.learnPolicies(report);
        return;
      case 'records':
        shipping.ring();
        return;
      case 'problem':
        log.error({ problem: report.text }, 'rule refused; it allows nothing');
    }
  };
  const thread: DataThread = startDataThread({
    source: inherited(options),
    limits: limitsOf(options),
    samplingRatio: pipeline === undefined ? undefined : options.sampling,
    onReport,
  });
  const control: ControlClient = startControlClient({
    socketPath: options.control,
    slot: options.slot,
    build: BUILD,
    log,
    onUpdate(update) {
      workloads.apply(update);
      thread.send({ kind: 'rules', order: rulesOrder(update) });
    },
    onDrain: (timeoutMs) => drain(timeoutMs),
  });
  const spans: Spans | undefined = pipeline === undefined ? undefined : { pipeline, ids: createIdSource(), meter };
  const shipping: Shipping = startShipping({ thread, control, workloads, spans });
  const budget = spans === undefined ? undefined : keepSpanBudget({ meter, shipping, thread, options });
  const registry = createMetrics({
    counters: thread.counters,
    unsent: () => shipping.unsent,
    spans: pipeline,
    budget,
    ready: () => ready,
  });
  if (options.metricsPort !== 0) serveMetrics(registry, options.metricsPort + options.slot).unref();

  const drain = (timeoutMs: number): void => {
    if (ending) process.exit(1); // asked twice: at once
    ending = true;
    const onTimeout = (): void => {
      exitCode = 1;
    };
    startDrain(thread, { timeoutMs, log, onTimeout });
  };
  process.on('SIGTERM', () => drain(options.drainTimeoutMs));
  process.on('SIGINT', () => drain(options.drainTimeoutMs));
  thread.ended.then(
    async () => {
      shipping.close();
      await pipeline?.close();
      await control.close();
      log.info('worker ends');
      process.exit(ending ? exitCode : 1);
    },
    (error) => {
      // Without the data thread nothing is served: the kernel refuses steered connections until a new worker is there.
      log.fatal({ error: (error as Error).stack }, 'data thread failed');
      process.exit(1);
    },
  );
}

/** Has the data thread sample as much as there is time for. */
function keepSpanBudget(parts: {
  readonly meter: CpuMeter;
  readonly shipping: Shipping;
  readonly thread: DataThread;
  readonly options: ProxyOptions;
}): SpanBudget {
  const { meter, shipping, thread, options } = parts;
  const budget = createSpanBudget({
    meter,
    times: readTimes,
    sampled: () => shipping.sampled,
    limit: options.sampledPerSecond,
    apply: (perSecond) => thread.send({ kind: 'sample at most', perSecond }),
  });
  setInterval(budget.look, SPAN_BUDGET_MS).unref();
  return budget;
}

/** The descriptors that the worker was started with. */
function inherited({ listenerFd, conntrackFd, nodeConfigFd, endpointAddrsFd }: ProxyOptions): SourceOrder {
  const maps = { conntrack: conntrackFd, nodeConfig: nodeConfigFd, endpointAddrs: endpointAddrsFd };
  return { kind: 'steered', listener: listenerFd, ...maps };
}

interface DrainOptions {
  readonly timeoutMs: number;
  readonly log: Logger;
  onTimeout(): void;
}

/** Has the thread finish what is in flight, for at most `timeoutMs`, and end. */
function startDrain(thread: DataThread, options: DrainOptions): void {
  const { timeoutMs, log } = options;
  log.info({ timeoutMs }, 'drain');
  thread.send({ kind: 'drain' });
  setTimeout(() => {
    log.warn({ connections: thread.counters.get('gauge|connections') }, 'drain timed out; connections are cut');
    options.onTimeout();
    thread.send({ kind: 'stop' });
    setTimeout(() => process.exit(1), STOP_TIMEOUT_MS).unref();
  }, timeoutMs).unref();
}

const options = readOptions(PROXY_OPTIONS, process.argv.slice(2), process.env);
if (options.ok && options.value.warm) warmDataThread();
else if (options.ok && options.value.control !== '') main(options.value);
else {
  const problems = options.ok ? ['Cannot start worker: option --control is missing'] : options.error;
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  process.exit(2);
}

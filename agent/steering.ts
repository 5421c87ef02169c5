// The agent's side of steering: the node's settings in the kernel, and the workers behind the steering map.

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NODE_AUDIT, NODE_VERDICT_EVENTS, type NodeConfig } from '#bpf/abi.ts';
import type { Datapath } from '#bpf/loader.ts';
import type { Logger } from '#common/log.ts';
import { optionArgs } from '#common/options.ts';
import { type NodeLayout, PROXY_MARK, PROXY_METRICS_PORT, STEER_MARK } from './layout.ts';
import type { AgentOptions } from './options.ts';
import { workerCommand } from './workers/command.ts';
import { superviseWorkers, type Workers } from './workers/workers.ts';

const DROP_EVENTS_PER_SECOND = 100;
const TOP = dirname(dirname(fileURLToPath(import.meta.url)));

/** The node's settings for `workerSlots` workers. `audit`: what policy denies passes and is reported. */
export function nodeConfig(
  workerSlots: number,
  { audit = false }: { readonly audit?: boolean } = {},
): Omit<NodeConfig, 'revision'> {
  return {
    workerSlots,
    proxyMark: PROXY_MARK,
    steerMark: STEER_MARK,
    dropEventsPerSecond: DROP_EVENTS_PER_SECOND,
    flags: NODE_VERDICT_EVENTS | (audit ? NODE_AUDIT : 0),
  };
}

/** Starts or adopts the workers. Their listeners go into the map `listeners`. */
export function startWorkers(options: {
  readonly count: number;
  readonly layout: NodeLayout;
  readonly datapath: Pick<Datapath, 'maps' | 'readOnlyFd'>;
  readonly options: AgentOptions;
  readonly log: Logger;
}): Workers {
  const { layout, datapath, log } = options;
  const { zipkinUrl, otlpGrpcUrl, otlpHttpUrl, sampling } = options.options;
  return superviseWorkers({
    count: options.count,
    layout,
    hooks: {
      setListener: (slot, fd) => datapath.maps.listeners.set(slot, BigInt(fd)),
      inherited: [
        datapath.readOnlyFd('conntrack'),
        datapath.readOnlyFd('node_config'),
        datapath.readOnlyFd('endpoint_addrs'),
      ],
      command: (slot) =>
        workerCommand({
          top: TOP,
          script: 'proxy/main.ts',
          stage: join(layout.runDir, 'code'),
          args: optionArgs({
            slot,
            control: layout.proxySocket,
            metricsPort: PROXY_METRICS_PORT,
            zipkinUrl,
            otlpGrpcUrl,
            otlpHttpUrl,
            sampling,
          }),
        }),
    },
    onChange: ({ slot, pid }, what, detail) => {
      const level = what === 'ended' || what === 'failed' ? 'warn' : 'info';
      log[level]({ slot, pid, what, detail }, 'proxy worker');
    },
  });
}

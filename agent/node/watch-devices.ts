// Keeps the node's policy asked at every device that leads outside, as devices come and go.

import type { Datapath } from '#bpf/loader.ts';
import type { Logger } from '#common/log.ts';
import { createRetry } from '../sync/retry.ts';
import { createHostDevices, type HostDeviceReport, isPodLink } from './host-devices.ts';
import { watchLinks } from './link-events.ts';

export interface DeviceWatchOptions {
  /** Path of the node's namespace. */
  readonly netns: string;
  readonly datapath: Pick<Datapath, 'attachDevice' | 'detachDevice' | 'pinned'>;
  readonly log: Pick<Logger, 'info' | 'error'>;
  /** Whether a policy for the node is in force: then a device at which it cannot be asked is a problem. */
  readonly isPoliced: () => boolean;
}

export interface DeviceWatch {
  /** Where the node is not policed though it should be, for people; undefined: nowhere. */
  problem(): string | undefined;
  /** Resolves when no look is under way, and lets none begin. What is attached stays so. */
  close(): Promise<void>;
}

/** For what nobody tells: programs that somebody took away. */
const LOOK_MS = 30_000;
const NOTHING: HostDeviceReport = { attached: [], problems: [], unjudged: [] };

/** Resolves when what is there now has been attached to, or could not be: then it is a problem, and tried again. */
export async function watchDevices(options: DeviceWatchOptions): Promise<DeviceWatch> {
  const { netns, log } = options;
  const devices = createHostDevices(netns, options.datapath);
  const closing = new AbortController();
  const retry = createRetry(closing.signal);
  let report = NOTHING;
  let isWanted = false;
  let running: Promise<void> | undefined;

  const look = async (): Promise<void> => {
    isWanted = false;
    const before = report;
    report = await devices.refresh().catch((error: Error) => ({ ...before, problems: [error.message] }));
    const { attached, problems } = report;
    if (`${attached}` !== `${before.attached}`) log.info({ devices: attached }, 'devices under the policy of the node');
    if (problems.length > 0 && `${problems}` !== `${before.problems}`) {
      log.error({ error: problems.join('; ') }, 'device is not under the policy of the node');
    }
    if (problems.length === 0) retry.reset();
    else retry.later(poke);
  };
  const run = async (): Promise<void> => {
    while (isWanted && !closing.signal.aborted) await look();
    running = undefined;
  };
  const poke = (): Promise<void> => {
    isWanted = true;
    running ??= run();
    return running;
  };

  const unwatch = watchLinks(netns, { concerns: (name) => !isPodLink(name), onChange: () => void poke() });
  const timer = setInterval(() => void poke(), LOOK_MS);
  await poke();
  return {
    problem() {
      const { problems, unjudged } = report;
      const blind = options.isPoliced() ? unjudged : [];
      const all = [...problems, ...blind.map((name) => `Cannot police device "${name}": it has no Ethernet headers`)];
      return all.length === 0 ? undefined : all.join('; ');
    },
    async close() {
      closing.abort();
      unwatch();
      clearInterval(timer);
      await running;
    },
  };
}

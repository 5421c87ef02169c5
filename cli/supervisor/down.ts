// What `weir down` does: asks a living `weir up` to end, or takes down by itself what a dead one left.

import { setTimeout as sleep } from 'node:timers/promises';
import { listLeftovers, tearDown } from '#agent/node/teardown.ts';
import { CliError } from '../exit.ts';
import { askToEnd } from './agent.ts';
import { askDown } from './control.ts';
import { describeHolder, takeLock } from './lock.ts';
import { layoutOf, stepLine } from './up.ts';

const TIMEOUT_MS = 60_000;
/** An `up` that has its lock but not yet its socket, or no longer, is asked again. */
const RETRY_MS = 50;
const END_GRACE_MS = 2_000;

/** Takes node `node` down and returns when nothing of it is left. Throws naming what stayed. */
export async function runDown(options: {
  readonly node: string;
  readonly print: (line: string) => void;
}): Promise<void> {
  const { node, print } = options;
  const layout = layoutOf(node);
  if (listLeftovers(layout).length === 0) {
    print(`Nothing to take down: there is no node "${node}"`);
    return;
  }
  const begun = performance.now();
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  for (;;) {
    const lock = takeLock(layout);
    if (lock.ok) {
      try {
        await askToEnd(layout.cgroup, END_GRACE_MS);
        await tearDown(layout);
        const left = listLeftovers(layout).filter((line) => !line.startsWith('lock'));
        if (left.length > 0) throw new CliError(`Cannot take down node "${node}": left are ${left.join(', ')}`);
      } finally {
        lock.value.release();
      }
      break;
    }
    const holder = describeHolder(lock.error);
    if (lock.error.isElsewhere) {
      throw new CliError(`Cannot take down node "${node}" from here: another "weir up" runs it (${holder})`);
    }
    const answer = await askDown(layout, timeout).catch((cause: unknown) => {
      throw new CliError(
        `Cannot take down node "${node}": its "weir up" (${holder}) ` +
          `has not ended after ${TIMEOUT_MS / 1_000} s (${(cause as Error).message})`,
      );
    });
    if (answer.kind === 'done') break;
    if (answer.kind === 'failed') throw new CliError(answer.reason);
    await sleep(RETRY_MS, undefined, { signal: timeout });
  }
  print(stepLine(`node "${node}" taken down`, performance.now() - begun).trimStart());
}

// A pod in the words of `get pods`.

import type { PodStatus } from '../runtime/status.ts';
import type { PodRow } from '../tables.ts';

export interface PodView {
  /** "Running", "Completed", "CrashLoopBackOff", "Pending", … */
  readonly status: string;
  /** Why, if a word is not enough; otherwise ''. */
  readonly message: string;
  readonly containers: number;
  readonly readyContainers: number;
  readonly restarts: number;
  /** First process of the first container; 0: none runs. */
  readonly pid: number;
  /** It runs, or has done what it had to do. */
  readonly isFine: boolean;
}

/** How the pod of `row` is doing; `status` undefined: nothing of it has been made yet. */
export function podView(row: PodRow, status: PodStatus | undefined): PodView {
  const reason = status?.reason ?? '';
  const [, word, detail = ''] = /^([A-Z][A-Za-z]*)(?:: (.*))?$/s.exec(reason) ?? [];
  const shown = status?.ready || word === undefined ? status?.phase : word;
  return {
    status: shown === 'Succeeded' ? 'Completed' : (shown ?? 'Pending'),
    message: word === undefined ? reason : detail,
    containers: row.object.spec.containers.length,
    readyContainers: status?.containers.filter(({ state }) => state === 'running').length ?? 0,
    restarts: status?.restarts ?? 0,
    pid: status?.containers[0]?.pid ?? 0,
    isFine: status?.ready === true || status?.phase === 'Succeeded',
  };
}

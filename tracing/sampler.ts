// The decision whether a request gets spans: its parent's decision where it has one, a ratio otherwise.

import type { TraceContext } from './context.ts';
import type { IdSource } from './ids.ts';

export interface Sampler {
  /** True: record spans. Allocates nothing. */
  decide(context: TraceContext | undefined): boolean;
}

/**
 * A parent-based sampler. `ratio` from 0 (none) to 1 (all) applies to requests in no trace, and to traces whose parent
 * left the decision open: those are judged by their trace id, so that every node decides alike.
 */
export function createSampler(options: { readonly ratio: number; readonly ids: Pick<IdSource, 'uint32'> }): Sampler {
  const { ratio, ids } = options;
  if (!(ratio >= 0 && ratio <= 1)) throw new Error(`Cannot sample at ratio ${ratio}: not from 0 to 1`);
  const limit = ratio * 2 ** 32; // 2^32 is above every number drawn
  return {
    decide(context) {
      if (context?.sampled !== undefined) return context.sampled;
      if (limit === 0) return false;
      if (context?.kind === 'parent') return Number.parseInt(context.traceId.slice(24), 16) < limit;
      return ids.uint32() < limit;
    },
  };
}

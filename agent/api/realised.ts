// Since which policy revision of the node each policy is in force as it is written now.

import type { Table } from '#common/table.ts';
import type { PolicyObject } from '#mesh-config/model.ts';
import type { ApplyResult } from '../sync/sync.ts';

export interface Realised {
  /** A round begins: it carries out every change until now. */
  begin(): void;
  /** A round has ended; one that is not complete has put nothing in force for certain. */
  end(result: ApplyResult): void;
  /** undefined: not in force yet. */
  revisionOf(key: string): number | undefined;
  close(): void;
}

/** Follows `policies` (key: objectKey). */
export function createRealised(policies: Table<PolicyObject>): Realised {
  const revisions = new Map<string, number>();
  const changed = new Set([...policies.entries()].map(([key]) => key));
  const underway = new Set<string>();
  const stop = policies.subscribe(({ key, after }) => {
    revisions.delete(key);
    underway.delete(key);
    if (after) changed.add(key);
    else changed.delete(key);
  });
  return {
    begin() {
      for (const key of changed) underway.add(key);
      changed.clear();
    },
    end({ complete, revision }) {
      if (!complete) return;
      for (const key of underway) revisions.set(key, revision);
      underway.clear();
    },
    revisionOf: (key) => revisions.get(key),
    close: stop,
  };
}

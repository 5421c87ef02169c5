// Collects garbage when nobody waits: right after a change has been carried out. Otherwise the collector comes in the
// middle of a later one, which then takes some milliseconds longer.

import { getHeapSpaceStatistics } from 'node:v8';

/** What the nursery holds before it is worth a collection of two milliseconds, in bytes. */
const WORTH = 1024 * 1024;

/** Node's own, with --expose-gc; a process without that flag collects when it must. */
const collect = (globalThis as { gc?: (options: { readonly type: 'minor' }) => void }).gc;

/** Empties the nursery, if there is enough in it. */
export function collectWhileIdle(): void {
  if (!collect) return;
  const nursery = getHeapSpaceStatistics().find((space) => space.space_name === 'new_space');
  if ((nursery?.space_used_size ?? 0) >= WORTH) collect({ type: 'minor' });
}

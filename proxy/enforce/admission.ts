// Who gets in: all pairs of a worker, within the limits on their number, of all and of each client address.

import { COUNT } from '../counters.ts';
import type { Engine } from './engine.ts';
import type { Origin } from './origin.ts';
import type { Pair } from './pair.ts';

/** Is there room for one more connection? Counted if not. */
export function hasRoom({ pairs, limits, counters }: Engine): boolean {
  if (pairs.length < limits.maxConnections) return true;
  counters.add(COUNT['limit|connections']);
  return false;
}

/** May the client of `origin` have one more connection? Counted if not. */
export function hasRoomFor({ perSource, limits, counters }: Engine, { source }: Origin): boolean {
  if ((perSource.get(source) ?? 0) < limits.maxConnectionsPerSource) return true;
  counters.add(COUNT['limit|connections of a source']);
  return false;
}

/** Puts `pair` among those of the worker. */
export function enter({ pairs, perSource, counters }: Engine, pair: Pair): void {
  const source = pair.origin.source;
  perSource.set(source, (perSource.get(source) ?? 0) + 1);
  pair.index = pairs.push(pair) - 1;
  counters.add(COUNT['connections|accepted']);
}

/** Takes `pair`, which has entered, out again. */
export function leave({ pairs, perSource, counters }: Engine, pair: Pair): void {
  const source = pair.origin.source;
  const left = (perSource.get(source) ?? 0) - 1;
  if (left > 0) perSource.set(source, left);
  else perSource.delete(source);
  const last = pairs.pop() as Pair;
  if (last !== pair) {
    pairs[pair.index] = last;
    last.index = pair.index;
  }
  counters.add(COUNT['connections|closed']);
}

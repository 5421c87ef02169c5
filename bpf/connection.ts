// The conntrack key of a connection: its two ends in canonical order, so that either direction finds the same entry.
// Twin of ct_key_of() in lib/conntrack.h.

import type { Address } from '#common/ip.ts';
import type { CtKey } from './abi.ts';

export interface End {
  readonly address: Address;
  readonly port: number;
}

/** The key of the connection between `one` and `other` (in either order). `protocol`: IP protocol number. */
export function connectionKey(one: End, other: End, protocol: number): CtKey {
  const [a, b] = compareEnds(one, other) <= 0 ? [one, other] : [other, one];
  return { ipA: a.address, ipB: b.address, portA: a.port, portB: b.port, protocol };
}

/** Whether `end` is end a of the key of its connection with `other`. */
export function isEndA(end: End, other: End): boolean {
  return compareEnds(end, other) <= 0;
}

function compareEnds(one: End, other: End): number {
  if (one.address !== other.address) return one.address < other.address ? -1 : 1;
  return one.port - other.port;
}

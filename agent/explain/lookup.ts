// The verdict of one flow as the desired rows have it: the pure twin of what the kernel does with the maps made of them.
// Whoever wants to know what policy says of a flow asks here: `weir policy`, the vectors, tests.

import { type Cookie, type Identity, RESERVED } from '#common/ids.ts';
import { type Address, familyOf, masked } from '#common/ip.ts';
import { indexEntries, type Question } from '../policy/entry-index.ts';
import type { Decision } from '../policy/verdict.ts';
import type { Desired, PolicyEntryRow } from '../tables.ts';

export type Direction = 'ingress' | 'egress';

/**
 * no-policy: the direction is not enforced for the subject. policy: enforced, and a rule allows. policy-deny: a deny
 * rule. default-deny: enforced, and nothing allows.
 */
export type Reason = 'no-policy' | 'policy' | 'policy-deny' | 'default-deny';

export interface Answer {
  readonly verdict: 'allow' | 'deny' | 'redirect';
  readonly reason: Reason;
  /** The row that decides; undefined: there is none. */
  readonly entry: PolicyEntryRow | undefined;
  /** Of all the rows that decide together. */
  readonly cookies: readonly Cookie[];
  /** Keys of the policies that decide together with the row, sorted; none: built in. */
  readonly policies: readonly string[];
}

export interface Lookup {
  /** undefined: the subject is no endpoint of this node, so nothing is decided for it here. */
  answer(flow: Question): Answer | undefined;
  /** The identity of an address: an endpoint's, a node's, a prefix's, or the world's. */
  identityAt(address: Address): Identity;
}

type Rows = Pick<Desired, 'policy' | 'peerSets' | 'cookies' | 'enforcement' | 'addresses'>;

/** The answer for one flow. For many flows over the same rows, make one `createLookup`. */
export function lookup(desired: Rows, flow: Question): Answer | undefined {
  return createLookup(desired).answer(flow);
}

const NOTHING: Decision<PolicyEntryRow> = { verdict: 'deny', entry: undefined, behind: [] };

/** Look-ups over the rows as they are now: later changes are not seen. */
export function createLookup(desired: Rows): Lookup {
  const index = indexEntries(desired);
  index.close();
  const enforcement = new Map([...desired.enforcement.values()].map((row) => [row.identity, row]));
  const prefixes = indexAddresses(desired);
  return {
    answer(flow) {
      const { subject, direction } = flow;
      const enforced = enforcement.get(subject);
      const decision = index.decide(flow);
      if (!enforced && !decision) return undefined;
      const { verdict, entry, behind } = decision ?? NOTHING;
      if (verdict === 'audit') throw new Error('No row says "audit"');
      const policies = behind.flatMap(({ cookie }) => desired.cookies.get(String(cookie))?.policies ?? []);
      return {
        verdict,
        reason: reasonOf(verdict, entry, enforced?.[direction] ?? true),
        entry,
        cookies: [...new Set(behind.map(({ cookie }) => cookie))],
        policies: [...new Set(policies)].sort(),
      };
    },
    identityAt(address) {
      for (const [bits, known] of prefixes) {
        const found = known.get(masked(address, bits));
        if (found !== undefined) return found;
      }
      return familyOf(address) === 4 ? RESERVED.worldIpv4 : RESERVED.worldIpv6;
    },
  };
}

function reasonOf(verdict: Answer['verdict'], entry: PolicyEntryRow | undefined, enforced: boolean): Reason {
  if (!entry) return 'default-deny';
  if (verdict === 'deny') return 'policy-deny';
  return enforced ? 'policy' : 'no-policy';
}

/** Identities of prefixes by their length, longest first. */
function indexAddresses({ addresses }: Pick<Desired, 'addresses'>): [number, Map<string, Identity>][] {
  const byLength = new Map<number, Map<string, Identity>>();
  for (const { cidr, identity: found } of addresses.values()) {
    entryOf(byLength, cidr.bits, () => new Map<string, Identity>()).set(cidr.address, found);
  }
  return [...byLength].sort(([a], [b]) => b - a);
}

function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

// The verdict of one flow as the desired rows have it: the pure twin of what the kernel does with the maps made of them.
// Whoever wants to know what policy says of a flow asks here: `weir policy`, the vectors, tests.

import { type Cookie, type Identity, identity, RESERVED } from '#common/ids.ts';
import { type Address, familyOf, masked } from '#common/ip.ts';
import { type L4, l4Key } from '../policy/l4.ts';
import { decide, type Entry, NO_ENTRIES } from '../sync/verdict.ts';
import type { Desired, PolicyEntryRow } from '../tables.ts';

export type Direction = 'ingress' | 'egress';

/** One direction of a flow: the endpoint whose policy is asked, and the other end. */
export interface LookupFlow {
  readonly subject: Identity;
  readonly direction: Direction;
  readonly peer: Identity;
  /** Protocol and destination port (or ICMP type), `bits` 24. */
  readonly l4: L4;
}

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
  readonly cookie: Cookie;
  /** Keys of the policies behind the row; none: built in. */
  readonly policies: readonly string[];
}

export interface Lookup {
  /** undefined: the subject is no endpoint of this node, so nothing is decided for it here. */
  answer(flow: LookupFlow): Answer | undefined;
  /** The identity of an address: an endpoint's, a node's, a prefix's, or the world's. */
  identityAt(address: Address): Identity;
}

interface IndexedEntry extends Entry {
  readonly row: PolicyEntryRow;
}

type Rows = Pick<Desired, 'policy' | 'cookies' | 'enforcement' | 'addresses'>;

/** The answer for one flow. For many flows over the same rows, make one `createLookup`. */
export function lookup(desired: Rows, flow: LookupFlow): Answer | undefined {
  return createLookup(desired).answer(flow);
}

/** Look-ups over the rows as they are now: later changes are not seen. */
export function createLookup(desired: Rows): Lookup {
  const subjects = indexEntries(desired.policy.values());
  const enforcement = new Map([...desired.enforcement.values()].map((row) => [row.identity, row]));
  const prefixes = indexAddresses(desired);
  return {
    answer({ subject, direction, peer, l4 }) {
      const enforced = enforcement.get(subject);
      const entries = subjects.get(subjectKey(subject, direction));
      if (!enforced && !entries) return undefined;
      const own = entries?.get(peer) ?? NO_ENTRIES;
      const won = decide(own, entries?.get(identity(0)) ?? NO_ENTRIES, l4) as IndexedEntry | undefined;
      const verdict = won?.row.action ?? 'deny';
      return {
        verdict,
        reason: reasonOf(won, enforced?.[direction] ?? true),
        entry: won?.row,
        cookie: won?.row.cookie ?? (0 as Cookie),
        policies: (won && desired.cookies.get(String(won.row.cookie))?.policies) ?? [],
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

function reasonOf(won: Entry | undefined, enforced: boolean): Reason {
  if (!won) return 'default-deny';
  if (won.action === 'deny') return 'policy-deny';
  return enforced ? 'policy' : 'no-policy';
}

function subjectKey(subject: Identity, direction: Direction): string {
  return `${subject} ${direction}`;
}

function indexEntries(rows: Iterable<PolicyEntryRow>): Map<string, Map<Identity, Map<number, IndexedEntry>>> {
  const subjects = new Map<string, Map<Identity, Map<number, IndexedEntry>>>();
  for (const row of rows) {
    const peers = entryOf(subjects, subjectKey(row.subject, row.direction), () => new Map());
    const entries: Map<number, IndexedEntry> = entryOf(peers, row.peer, () => new Map());
    const l4 = { protocol: row.protocol, port: row.port, bits: row.l4Bits };
    const { action, precedence, cookie, l4Bits } = row;
    entries.set(l4Key(l4), { l4, l4Bits, action, precedence, ruleset: row.ruleset ?? 0, cookie, row });
  }
  return subjects;
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

// Prefixes of the world that somebody mentions -> node-local identities. Each has the labels of all mentioned prefixes
// that cover it; prefixes with the same labels share a number. An address has the identity of its longest prefix.

import { RESERVED } from '#common/ids.ts';
import { address, type Cidr, familyOf, formatCidr, UNSPECIFIED } from '#common/ip.ts';
import { createPrefixTree } from '../identity/prefix-tree.ts';
import type { Addresses } from './addresses.ts';
import type { Hold, Identities } from './identities.ts';

export interface Prefixes {
  /** Labels a prefix, "source:key". Counted: each has its `unmark`. */
  mark(cidr: Cidr, label: string): void;
  unmark(cidr: Cidr, label: string): void;
  recompute(): void;
  problems(): readonly { readonly prefix: string; readonly reason: string }[];
}

interface Known {
  readonly cidr: Cidr;
  readonly hold: Hold;
}

const OWNER = { rank: 'prefix', name: '' } as const;
const SHIELD = { rank: 'prefix', name: 'shield' } as const;
/** All IPv4 addresses, as the kernel sees them. */
const IPV4: Cidr = { address: address('0.0.0.0'), bits: 96 };
/** Shorter IPv6 prefixes of zeros have all IPv4 addresses inside. */
const IPV4_BITS = 80;

/** No prefixes. */
export function createPrefixes(identities: Identities, addresses: Addresses): Prefixes {
  const trees = { 4: createPrefixTree(), 6: createPrefixTree() };
  const known = new Map<string, Known>();
  const dirty = new Map<string, Cidr>();
  const failed = new Map<string, Cidr>();
  const wide = new Set<string>();
  const treeOf = (cidr: Cidr): (typeof trees)[4] => trees[familyOf(cidr.address)];

  const enter = (cidr: Cidr): Known | undefined => {
    if (!treeOf(cidr).isMarked(cidr)) return undefined;
    const labels = [`reserved:world-ipv${familyOf(cidr.address)}`, ...treeOf(cidr).marksOver(cidr)].sort();
    const hold = identities.take({ scope: 'prefix', labels, ports: [], subject: undefined });
    addresses.claim(OWNER, cidr, { identity: hold.identity, flags: 0 });
    return { cidr, hold };
  };
  const replace = (key: string, cidr: Cidr): Known | undefined => {
    const before = known.get(key);
    const after = enter(cidr);
    if (after) known.set(key, after);
    else {
      known.delete(key);
      addresses.remove(OWNER, key);
    }
    if (after?.hold.problem) failed.set(key, cidr);
    else failed.delete(key);
    const coversIpv4 = after !== undefined && familyOf(cidr.address) === 6 && hasIpv4Inside(cidr);
    if (coversIpv4) wide.add(key);
    else wide.delete(key);
    return before;
  };
  return {
    mark(cidr, label) {
      if (treeOf(cidr).add(cidr, label)) dirty.set(formatCidr(cidr), cidr);
    },
    unmark(cidr, label) {
      if (treeOf(cidr).remove(cidr, label)) dirty.set(formatCidr(cidr), cidr);
    },
    recompute() {
      if (dirty.size === 0 && failed.size === 0) return;
      const all = new Map([...dirty, ...failed]);
      for (const cidr of dirty.values())
        for (const inner of treeOf(cidr).below(cidr)) all.set(formatCidr(inner), inner);
      dirty.clear();
      // All that come before any that go: a number that is still wanted is never given back in between.
      const before = [...all].flatMap(([key, cidr]) => replace(key, cidr) ?? []);
      for (const { hold } of before) identities.release(hold);
      // The longest IPv6 prefix around all IPv4 addresses is not about them.
      if (wide.size > 0) addresses.claim(SHIELD, IPV4, { identity: RESERVED.worldIpv4, flags: 0 });
      else addresses.remove(SHIELD, formatCidr(IPV4));
    },
    problems: () =>
      [...failed.keys()].map((prefix) => ({ prefix, reason: known.get(prefix)?.hold.problem ?? 'Cannot allocate' })),
  };
}

function hasIpv4Inside({ address: base, bits }: Cidr): boolean {
  return bits <= IPV4_BITS && base === UNSPECIFIED;
}

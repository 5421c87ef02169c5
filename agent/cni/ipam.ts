// Addresses of pods: one offset into both pod prefixes, handed out in rotation so that a freed one rests longest.

import { join } from 'node:path';
import { type Address, addOffset } from '#common/ip.ts';
import { err, ok, type Result } from '#common/result.ts';
import type { NodeAddresses } from '../layout.ts';
import { readState, writeState } from '../node/state-file.ts';

/** Offsets double as endpoint ids, which have 16 bits. */
const MAX_POOL = 65_536;

export interface Ipam {
  /** Takes the next free offset. */
  allocate(): Result<number, string>;
  /** Marks `offset` as in use, for attachments that exist already. */
  adopt(offset: number): void;
  release(offset: number): void;
  addressesOf(offset: number): { readonly ip4: Address; readonly ip6: Address };
}

/** `stateDir` holds where the rotation stands, so that a restart does not hand a fresh address out again. */
export function createIpam(addresses: NodeAddresses, stateDir: string): Ipam {
  const { podCidr4, podCidr6, node4, node6, resolver4, resolver6 } = addresses;
  const file = join(stateDir, 'ipam.json');
  const size = Math.min(2 ** (128 - podCidr4.bits), 2 ** (128 - podCidr6.bits), MAX_POOL);
  const taken = new Set([node4, node6, resolver4, resolver6]);
  const used = new Set<number>();
  let last = readState<{ last: number }>(file)?.last ?? 0;
  const addressesOf = (offset: number): { ip4: Address; ip6: Address } => ({
    ip4: addOffset(podCidr4.address, offset),
    ip6: addOffset(podCidr6.address, offset),
  });
  const isFree = (offset: number): boolean => {
    const { ip4, ip6 } = addressesOf(offset);
    return !used.has(offset) && !taken.has(ip4) && !taken.has(ip6);
  };
  return {
    addressesOf,
    adopt: (offset) => void used.add(offset),
    release: (offset) => void used.delete(offset),
    allocate() {
      // Neither the prefix's own address nor its last, which is IPv4's broadcast.
      for (let i = 0; i < size - 2; i++) {
        const offset = ((last + i) % (size - 2)) + 1;
        if (!isFree(offset)) continue;
        used.add(offset);
        last = offset;
        writeState(file, { last });
        return ok(offset);
      }
      return err(`Cannot give the pod an address: all ${size - 2} are in use`);
    },
  };
}

// Prefixes as policies write them: any address with a length, host bits and all.

import { type Address, type Cidr, familyOf, formatCidr, parseAddress } from '#common/ip.ts';
import { err, ok, type Result } from '#common/result.ts';

/** A prefix with its host bits cleared. `masked`: some of them were set. */
export interface WrittenPrefix {
  readonly cidr: Cidr;
  readonly masked: boolean;
}

/** Parses "10.0.0.0/8". The reason of a refusal goes on after the text itself: "is no prefix". */
export function parsePrefix(text: string): Result<WrittenPrefix, string> {
  const slash = text.indexOf('/');
  const parsed = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (!parsed.ok) return err('is no prefix: write an address and a length, like "10.0.0.0/8"');
  const written = slash < 0 ? text : text.slice(0, slash);
  const family = familyOf(parsed.value);
  const max = family === 4 ? 32 : 128;
  if (slash < 0) return err(`is an address without length: write "${text}/${max}"`);
  if (family === 4 && written.includes(':')) return err('is an IPv4 prefix in the form of IPv6: write it as IPv4');
  const length = text.slice(slash + 1);
  if (!/^(0|[1-9]\d{0,2})$/.test(length) || Number(length) > max) {
    return err(`has no length from 0 to ${max} after the "/"`);
  }
  const bits = Number(length) + (family === 4 ? 96 : 0);
  const address = clearedAfter(parsed.value, bits);
  return ok({ cidr: { address, bits }, masked: address.some((byte, i) => byte !== parsed.value[i]) });
}

/** Whether every address of `inner` is in `outer`; never across families. */
export function containsPrefix(outer: Cidr, inner: Cidr): boolean {
  if (familyOf(outer.address) !== familyOf(inner.address) || inner.bits < outer.bits) return false;
  const start = clearedAfter(inner.address, outer.bits);
  return formatCidr({ address: start, bits: outer.bits }) === formatCidr(outer);
}

function clearedAfter(address: Address, bits: number): Address {
  return address.map((byte, i) => {
    const kept = Math.min(8, Math.max(0, bits - 8 * i));
    return byte & (0xff << (8 - kept));
  }) as Address;
}

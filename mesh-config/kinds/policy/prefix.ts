// Prefixes as policies write them: any address with a length, host bits and all.

import { type Cidr, covers, familyOf, masked, parseAddress } from '#common/ip.ts';
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
  const address = masked(parsed.value, bits);
  return ok({ cidr: { address, bits }, masked: address !== parsed.value });
}

/** Whether every address of `inner` is in `outer`; never across families. */
export function containsPrefix(outer: Cidr, inner: Cidr): boolean {
  return familyOf(outer.address) === familyOf(inner.address) && covers(outer, inner);
}

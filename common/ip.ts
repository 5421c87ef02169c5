// Addresses and prefixes. Inside Weir an address is 16 bytes, IPv4 mapped into ::ffff:0:0/96.
//
// The bytes are the characters of a string: an address is then its own key in a Map, is compared by ===, cannot be changed,
// and takes a sixth of the memory of an array. A large cluster has a hundred thousand of them.

import { isIPv4, isIPv6 } from 'node:net';
import { err, ok, type Result } from './result.ts';

/** 16 bytes in network order, each one character (U+0000 to U+00FF). */
export type Address = string & { readonly brand: 'address' };
export type Family = 4 | 6;
/** A prefix; `bits` counts in the 16-byte form, so IPv4 /24 has 120. */
export interface Cidr {
  readonly address: Address;
  readonly bits: number;
}

/** "::". */
export const UNSPECIFIED = '\0'.repeat(16) as Address;
const IPV4_MAPPED = '\0\0\0\0\0\0\0\0\0\0\xff\xff';

/** Parses "10.0.0.1" or "fd00::1". */
export function parseAddress(text: string): Result<Address, string> {
  if (isIPv4(text)) {
    const bytes = new Uint8Array(16);
    bytes[10] = bytes[11] = 0xff;
    text.split('.').forEach((part, i) => {
      bytes[12 + i] = Number(part);
    });
    return ok(readAddress(bytes));
  }
  if (isIPv6(text) && !text.includes('%')) return ok(parseIpv6(text));
  return err(`Cannot parse address "${text}": not an IPv4 or IPv6 address`);
}

/** Like parseAddress, for texts that the program itself made. */
export function address(text: string): Address {
  const parsed = parseAddress(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}

/** Parses "10.0.0.0/8" or "fd00::/64". Bits below the prefix length must be zero. */
export function parseCidr(text: string): Result<Cidr, string> {
  const slash = text.indexOf('/');
  const base = parseAddress(slash < 0 ? text : text.slice(0, slash));
  const length = slash < 0 ? '' : text.slice(slash + 1);
  if (!base.ok || !/^\d{1,3}$/.test(length))
    return err(`Cannot parse prefix "${text}": not of the form ADDRESS/LENGTH`);
  const family = familyOf(base.value);
  const max = family === 4 ? 32 : 128;
  if (Number(length) > max) return err(`Cannot parse prefix "${text}": length is over ${max}`);
  const bits = Number(length) + (family === 4 ? 96 : 0);
  if (masked(base.value, bits) !== base.value) {
    return err(`Cannot parse prefix "${text}": it has bits set after the prefix length`);
  }
  return ok({ address: base.value, bits });
}

/** The address in the 16 bytes of `bytes` from `at` on. Throws a RangeError if there are fewer. */
export function readAddress(bytes: Uint8Array, at = 0): Address {
  return Buffer.prototype.latin1Slice.call(bytes, at, at + 16) as Address;
}

/** Writes the 16 bytes of `a` to `target` from `at` on. */
export function writeAddress(a: Address, target: { [index: number]: number }, at = 0): void {
  for (let i = 0; i < 16; i++) target[at + i] = a.charCodeAt(i);
}

/** The 16 bytes of `a`, for whoever wants an array. */
export function addressBytes(a: Address): Buffer {
  return Buffer.from(a, 'latin1');
}

/** The family that the address was written in. */
export function familyOf(a: Address): Family {
  return a.startsWith(IPV4_MAPPED) ? 4 : 6;
}

/** Text form: dotted for IPv4, RFC 5952 for IPv6. */
export function formatAddress(a: Address): string {
  const byte = (i: number): number => a.charCodeAt(i);
  if (familyOf(a) === 4) return `${byte(12)}.${byte(13)}.${byte(14)}.${byte(15)}`;
  const words: number[] = [];
  for (let i = 0; i < 16; i += 2) words.push((byte(i) << 8) | byte(i + 1));
  const run = longestZeroRun(words);
  const hex = words.map((w) => w.toString(16));
  if (run.length < 2) return hex.join(':');
  return `${hex.slice(0, run.start).join(':')}::${hex.slice(run.start + run.length).join(':')}`;
}

/** Text form of a prefix, its length in the family's own bits. */
export function formatCidr(cidr: Cidr): string {
  const length = familyOf(cidr.address) === 4 ? cidr.bits - 96 : cidr.bits;
  return `${formatAddress(cidr.address)}/${length}`;
}

/** The address with all bits after the first `bits` zero. */
export function masked(a: Address, bits: number): Address {
  const bytes = addressBytes(a);
  for (let i = bits >> 3; i < 16; i++) bytes[i] = (bytes[i] ?? 0) & (0xff00 >> Math.max(0, bits - 8 * i));
  return readAddress(bytes);
}

/** How many leading bits two addresses have in common. */
export function commonBits(a: Address, b: Address): number {
  for (let i = 0; i < 16; i++) {
    const difference = a.charCodeAt(i) ^ b.charCodeAt(i);
    if (difference !== 0) return i * 8 + Math.clz32(difference) - 24;
  }
  return 128;
}

/** Whether the prefix `outer` holds all of `inner`, or is it. IPv4 lies inside of IPv6's ::/0. */
export function covers(outer: Cidr, inner: Cidr): boolean {
  return outer.bits <= inner.bits && commonBits(outer.address, inner.address) >= outer.bits;
}

/** The address `offset` places after `base`, e.g. for address pools. `offset` < 2^31. */
export function addOffset(base: Address, offset: number): Address {
  const bytes = addressBytes(base);
  let carry = offset;
  for (let i = 15; i >= 0 && carry > 0; i--) {
    const sum = (bytes[i] ?? 0) + carry;
    bytes[i] = sum & 0xff;
    carry = Math.floor(sum / 256);
  }
  return readAddress(bytes);
}

function parseIpv6(text: string): Address {
  let source = text;
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (dotted) {
    const [, head, a, b, c, d] = dotted.map((v, i) => (i < 2 ? v : Number(v))) as [
      string,
      string,
      number,
      number,
      number,
      number,
    ];
    source = `${head}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [left = '', right] = source.split('::');
  const head = left ? left.split(':') : [];
  const tail = right ? right.split(':') : [];
  const words = right === undefined ? head : [...head, ...Array(8 - head.length - tail.length).fill('0'), ...tail];
  const bytes = new Uint8Array(16);
  words.forEach((word, i) => {
    const value = Number.parseInt(word, 16);
    bytes[2 * i] = value >> 8;
    bytes[2 * i + 1] = value & 0xff;
  });
  return readAddress(bytes);
}

function longestZeroRun(words: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let i = 0; i < words.length; i++) {
    let length = 0;
    while (i + length < words.length && words[i + length] === 0) length++;
    if (length > best.length) best = { start: i, length };
    i += length;
  }
  return best;
}

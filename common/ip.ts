// Addresses and prefixes. Inside Weir an address is 16 bytes, IPv4 mapped into ::ffff:0:0/96.

import { isIPv4, isIPv6 } from 'node:net';
import { err, ok, type Result } from './result.ts';

/** 16 bytes in network order. */
export type Address = Uint8Array & { readonly length: 16 };
export type Family = 4 | 6;
/** A prefix; `bits` counts in the 16-byte form, so IPv4 /24 has 120. */
export interface Cidr {
  readonly address: Address;
  readonly bits: number;
}

/** Parses "10.0.0.1" or "fd00::1". */
export function parseAddress(text: string): Result<Address, string> {
  if (isIPv4(text)) {
    const bytes = new Uint8Array(16);
    bytes[10] = bytes[11] = 0xff;
    text.split('.').forEach((part, i) => {
      bytes[12 + i] = Number(part);
    });
    return ok(bytes as Address);
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
  for (let bit = bits; bit < 128; bit++) {
    if (((base.value[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1) {
      return err(`Cannot parse prefix "${text}": it has bits set after the prefix length`);
    }
  }
  return ok({ address: base.value, bits });
}

/** The family that the address was written in. */
export function familyOf(a: Address): Family {
  for (let i = 0; i < 10; i++) if (a[i] !== 0) return 6;
  return a[10] === 0xff && a[11] === 0xff ? 4 : 6;
}

/** Text form: dotted for IPv4, RFC 5952 for IPv6. */
export function formatAddress(a: Address): string {
  if (familyOf(a) === 4) return `${a[12]}.${a[13]}.${a[14]}.${a[15]}`;
  const words: number[] = [];
  for (let i = 0; i < 16; i += 2) words.push(((a[i] ?? 0) << 8) | (a[i + 1] ?? 0));
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

/** A key for Map and Set: the bytes as characters. */
export function addressKey(a: Address): string {
  // Not by way of a.buffer: a short array has none until somebody asks, and from then on takes twice the memory.
  return String.fromCharCode.apply(null, a as unknown as number[]);
}

/** The address `offset` places after `base`, e.g. for address pools. `offset` < 2^31. */
export function addOffset(base: Address, offset: number): Address {
  const bytes = Uint8Array.from(base);
  let carry = offset;
  for (let i = 15; i >= 0 && carry > 0; i--) {
    const sum = (bytes[i] ?? 0) + carry;
    bytes[i] = sum & 0xff;
    carry = Math.floor(sum / 256);
  }
  return bytes as Address;
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
  return bytes as Address;
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

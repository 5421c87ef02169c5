// The Upgrade field (RFC 9110 section 7.8) and what a switch of protocols may lead to.

import { CLASS, isSpace, isWord, TOKEN, word } from './bytes.ts';
import type { Fields } from './fields.ts';

const H2C = word('h2c');
const H2 = word('h2');
const HTTP = word('http');
const TLS = word('tls');
const COMMA = 44;

/** What an Upgrade field asks for. strip: a protocol that would hide requests from policy; it is not passed on. */
export const UPGRADE = { none: 0, pass: 1, strip: 2 } as const;

/** The UPGRADE that the request asks for: HTTP, and TLS, which may hold HTTP, are stripped. -1: malformed or a mixture. */
export function upgradeKind(fields: Fields): number {
  const { buffer, spans, upgradeField } = fields;
  const start = spans[4 * upgradeField + 2] as number;
  const end = spans[4 * upgradeField + 3] as number;
  if (fields.upgrades > 1 || start === end) return -1;
  let nameEnd = -1;
  for (let i = start; i < end; i++) {
    const byte = buffer[i] as number;
    const slash = byte === 47;
    if (slash && nameEnd < 0) nameEnd = i;
    else if (byte === COMMA || isSpace(byte) || slash || ((CLASS[byte] as number) & TOKEN) === 0) {
      return hasHttp(fields, start, end) ? -1 : byte === COMMA || isSpace(byte) ? UPGRADE.pass : -1;
    }
  }
  const length = (nameEnd < 0 ? end : nameEnd) - start;
  const is = (lower: Uint8Array): boolean => length === lower.length && isWord(buffer, start, lower);
  return is(H2C) || is(H2) || is(HTTP) || is(TLS) ? UPGRADE.strip : UPGRADE.pass;
}

function hasHttp(fields: Fields, start: number, end: number): boolean {
  return /(^|[\s,])(h2c?|http|tls)([\s,/]|$)/i.test(fields.buffer.toString('latin1', start, end));
}

/** Is the protocol that the response names among those that the request asked for? Both are lists of protocols. */
export function answersUpgrade(asked: string, answered: string | undefined): boolean {
  const names = (list: string): string[] =>
    list
      .toLowerCase()
      .split(',')
      .map((name) => name.trim());
  const offered = new Set(names(asked));
  return answered !== undefined && answered !== '' && names(answered).every((name) => offered.has(name));
}

// The Upgrade field (RFC 9110 section 7.8) and what a switch of protocols may lead to.

import { CLASS, isSpace, isWord, TOKEN, word } from './bytes.ts';
import type { Fields } from './fields.ts';
import type { RequestHead } from './request.ts';

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

/** The protocols that a request asks to switch to, as its Upgrade field has them. */
export function requestedProtocols(head: RequestHead): string {
  return head.header('upgrade') ?? '';
}

/** The head without what asks for another protocol: Upgrade, HTTP2-Settings, and their names in Connection. */
export function withoutUpgrade(head: RequestHead): Buffer {
  const { buffer, fields } = head;
  const text = (from: number, to: number): string => buffer.toString('latin1', from, to);
  const { spans, count } = fields;
  let result = text(head.start, spans[0] as number);
  for (let at = 0; at < 4 * count; at += 4) {
    const lineEnd = at + 4 < 4 * count ? (spans[at + 4] as number) : head.end - 2;
    const name = text(spans[at] as number, spans[at + 1] as number).toLowerCase();
    if (name === 'upgrade' || name === 'http2-settings') continue;
    if (name !== 'connection') {
      result += text(spans[at] as number, lineEnd);
      continue;
    }
    const options = text(spans[at + 2] as number, spans[at + 3] as number).split(',');
    const kept = options
      .map((option) => option.trim())
      .filter((option) => !/^(upgrade|http2-settings|)$/i.test(option));
    if (kept.length > 0) result += `${text(spans[at] as number, spans[at + 1] as number)}: ${kept.join(', ')}\r\n`;
  }
  return Buffer.from(`${result}\r\n`, 'latin1');
}

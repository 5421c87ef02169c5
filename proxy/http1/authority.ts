// host [":" port] as in Host, absolute-form and authority-form (RFC 3986 section 3.2, RFC 9110 section 7.2).

import { isIPv6 } from 'node:net';
import { CLASS, DIGIT, HOST } from './bytes.ts';

const COLON = 58;
const DOT = 46;
const MAX_PORT = 65535;

/**
 * Is `buffer[start..end)` an authority that every reader takes alike? No user information, no percent-encoding, no empty
 * host or port; what ends like a number is a dotted quad in its one canonical form.
 */
export function isAuthority(buffer: Buffer, start: number, end: number): boolean {
  const hostEnd = buffer[start] === 91 ? endOfIpLiteral(buffer, start, end) : endOfName(buffer, start, end);
  if (hostEnd <= start) return false;
  return hostEnd === end || (buffer[hostEnd] === COLON && isPort(buffer, hostEnd + 1, end));
}

/** Does the authority, which is valid, name a port? */
export function hasPort(buffer: Buffer, start: number, end: number): boolean {
  let i = end;
  while (i > start && ((CLASS[buffer[i - 1] as number] as number) & DIGIT) !== 0) i--;
  return i < end && i > start && buffer[i - 1] === COLON;
}

function isPort(buffer: Buffer, start: number, end: number): boolean {
  if (start === end || end - start > 5) return false;
  let port = 0;
  for (let i = start; i < end; i++) {
    const byte = buffer[i] as number;
    if (((CLASS[byte] as number) & DIGIT) === 0) return false;
    port = port * 10 + (byte - 48);
  }
  return port <= MAX_PORT;
}

function endOfIpLiteral(buffer: Buffer, start: number, end: number): number {
  let i = start + 1;
  while (i < end && buffer[i] !== 93) i++;
  if (i === end) return -1;
  const text = buffer.toString('latin1', start + 1, i);
  return isIPv6(text) && !text.includes('%') ? i + 1 : -1;
}

/** The end of a name or dotted quad, -1 if it is neither. */
function endOfName(buffer: Buffer, start: number, end: number): number {
  let i = start;
  let label = start; // where the last label that is not empty starts
  for (; i < end; i++) {
    const byte = buffer[i] as number;
    if (((CLASS[byte] as number) & HOST) === 0) break;
    if (byte === DOT && i + 1 < end && buffer[i + 1] !== COLON) label = i + 1;
  }
  if (i === start) return -1;
  const labelEnd = buffer[i - 1] === DOT ? i - 1 : i;
  if (!isNumeric(buffer, label, labelEnd)) return i;
  return isQuad(buffer, start, i) ? i : -1;
}

/** Would some reader take this last label for a number, and so the whole for an IPv4 address? */
function isNumeric(buffer: Buffer, start: number, end: number): boolean {
  if (start === end || ((CLASS[buffer[start] as number] as number) & DIGIT) === 0) return false;
  if (buffer[start] === 48 && end - start > 1 && ((buffer[start + 1] as number) | 32) === 0x78) return true;
  for (let i = start; i < end; i++) if (((CLASS[buffer[i] as number] as number) & DIGIT) === 0) return false;
  return true;
}

/** Four decimal numbers up to 255 without leading zeros. */
function isQuad(buffer: Buffer, start: number, end: number): boolean {
  let numbers = 0;
  let value = 0;
  let digits = 0;
  for (let i = start; i <= end; i++) {
    const byte = i === end ? DOT : (buffer[i] as number);
    if (byte === DOT) {
      if (digits === 0 || value > 255) return false;
      numbers++;
      value = 0;
      digits = 0;
    } else {
      if (((CLASS[byte] as number) & DIGIT) === 0 || digits === 3 || (digits > 0 && value === 0)) return false;
      value = value * 10 + (byte - 48);
      digits++;
    }
  }
  return numbers === 4;
}

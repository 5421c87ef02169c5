// All the ways in which servers may read one request target. Where they would lead to different verdicts, the request is
// refused: nobody can say which of them the policy means.

import type { RequestView } from '#mesh-config/match/http.ts';
import { METHOD } from '../http1/methods.ts';
import { hasOwnAuthority, type RequestHead } from '../http1/request.ts';
import { FORM } from '../http1/target.ts';

/** May the head be read in one way only? Then its own view is all there is to match. */
export function isPlain(head: RequestHead): boolean {
  return head.plainPath && !hasOwnAuthority(head);
}

/** Every distinct reading of path and host of a head that is not plain, the one as it stands first. */
export function readings(head: RequestHead): RequestView[] {
  const { buffer } = head;
  const text = (start: number, end: number): string => buffer.toString('latin1', start, end);
  const method = text(head.methodStart, head.methodEnd);
  const paths = pathReadings(text(head.pathStart, head.pathEnd), head);
  const hosts = new Set([text(head.hostStart, head.hostEnd)]);
  if (hasOwnAuthority(head)) hosts.add(text(head.authorityStart, head.authorityEnd));
  return paths.flatMap((path) => Array.from(hosts, (host) => view(head, { method, path, host })));
}

function view(head: RequestHead, parts: { method: string; path: string; host: string }): RequestView {
  const { method, path, host } = parts;
  const pathEnd = method.length + path.length;
  return {
    buffer: Buffer.from(method + path + host, 'latin1'),
    methodStart: 0,
    methodEnd: method.length,
    pathStart: method.length,
    pathEnd,
    hostStart: pathEnd,
    hostEnd: pathEnd + host.length,
    header: head.header,
  };
}

function pathReadings(path: string, head: RequestHead): string[] {
  if (head.form === FORM.authority || head.form === FORM.asterisk) return [path];
  const question = path.indexOf('?');
  const query = question < 0 ? '' : path.slice(question);
  const raw = question < 0 ? path : path.slice(0, question);
  const found = new Set<string>();
  if (raw === '') {
    // RFC 9112 section 3.2.4: "OPTIONS http://host" means "OPTIONS *".
    found.add(`/${query}`);
    if (head.method === METHOD.options && query === '') found.add('*');
  } else {
    found.add(raw + query);
    for (const reading of [decodeUnreserved(raw), decodeAll(raw)]) {
      found.add(removeDots(mergeSlashes(reading)) + query);
      found.add(removeDots(reading) + query);
    }
  }
  return [...found];
}

/** RFC 3986 section 6.2.2: escapes of unreserved characters decoded, the hexadecimal digits of the others in upper case. */
function decodeUnreserved(path: string): string {
  return path.replace(/%[0-9a-f]{2}/gi, (escaped) => {
    const character = String.fromCharCode(Number.parseInt(escaped.slice(1), 16));
    return /[A-Za-z0-9._~-]/.test(character) ? character : escaped.toUpperCase();
  });
}

function mergeSlashes(path: string): string {
  return path.replace(/\/{2,}/g, '/');
}

/** RFC 3986 section 5.2.4, on an absolute path. */
function removeDots(path: string): string {
  const segments = path.split('/').slice(1);
  const kept: string[] = [];
  segments.forEach((segment, i) => {
    const last = i === segments.length - 1;
    if (segment === '..') kept.pop();
    if (segment === '..' || segment === '.') {
      if (last) kept.push('');
    } else kept.push(segment);
  });
  return `/${kept.join('/')}`;
}

/**
 * What the most generous of servers makes of a path: every escape decoded once, overlong UTF-8 too, "\" as "/", segment
 * parameters dropped.
 */
function decodeAll(path: string): string {
  const bytes = path
    .replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replace(/[\xc0\xc1][\x80-\xbf]|\xe0[\x80\x81][\x80-\xbf]|\xf0\x80[\x80\x81][\x80-\xbf]/g, shortest);
  const segments = bytes.replaceAll('\\', '/').split('/');
  return segments.map((segment) => segment.split(';', 1)[0]).join('/');
}

/** The ASCII character that an overlong UTF-8 sequence stands for. */
function shortest(sequence: string): string {
  const [last = 0, before = 0] = [sequence.charCodeAt(sequence.length - 1), sequence.charCodeAt(sequence.length - 2)];
  return String.fromCharCode(((before & 1) << 6) | (last & 0x3f));
}

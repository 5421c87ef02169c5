// The ways in which servers may read one request target: what each may decode, split at, drop or resolve, in every
// combination. Where they would lead to different verdicts, the request is refused: nobody can say which of them the policy
// means.

import type { RequestView } from '#mesh-config/match/http.ts';
import { METHOD } from '../http1/methods.ts';
import { hasOwnAuthority, type RequestHead } from '../http1/request.ts';
import { FORM } from '../http1/target.ts';

/** May the head be read in one way only? Then its own view is all there is to match. */
export function isPlain(head: RequestHead): boolean {
  return head.plainPath && !hasOwnAuthority(head);
}

/** Characters that all readings of a path may have together: only a path that is made for it has more. */
const MAX_CHARACTERS = 256 * 1024;

/**
 * Every distinct reading of path and host of a head that is not plain, the one as it stands first. undefined: there are too
 * many to judge.
 */
export function readings(head: RequestHead): RequestView[] | undefined {
  const { buffer } = head;
  const text = (start: number, end: number): string => buffer.toString('latin1', start, end);
  const method = text(head.methodStart, head.methodEnd);
  const paths = pathReadings(text(head.pathStart, head.pathEnd), head);
  if (paths === undefined) return undefined;
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

function pathReadings(path: string, head: RequestHead): string[] | undefined {
  if (head.form === FORM.authority || head.form === FORM.asterisk) return [path];
  const question = path.indexOf('?');
  const query = question < 0 ? '' : path.slice(question);
  const raw = question < 0 ? path : path.slice(0, question);
  // RFC 9112 section 3.2.4: "OPTIONS http://host" means "OPTIONS *".
  if (raw === '') return head.method === METHOD.options && query === '' ? ['/', '*'] : [`/${query}`];
  let found = new Set([raw]);
  for (const step of STEPS) {
    found = new Set([...found].flatMap((reading) => [reading, ...step(reading)]));
    if (found.size * raw.length > MAX_CHARACTERS) return undefined;
  }
  return Array.from(found, (reading) => reading + query);
}

/**
 * What a server may do with a path, in the order in which it does. Each may do it or not. What a step does not change costs
 * nothing further.
 */
const STEPS: readonly ((path: string) => readonly string[])[] = [
  (path) => [decodeUnreserved(path), decode(path, /%2f|%5c/i), decode(path), decode(decode(path))],
  (path) => [path.replace(OVERLONG, shortest)],
  (path) => [path.replaceAll('\\', '/')],
  (path) => [dropParameters(path)],
  (path) => [mergeSlashes(path)],
  (path) => [removeDots(path)],
];

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

/** Every escape decoded once, but for those that match `kept`. */
function decode(path: string, kept?: RegExp): string {
  return path.replace(/%([0-9a-f]{2})/gi, (escaped, hex: string) =>
    kept?.test(escaped) ? escaped : String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

function dropParameters(path: string): string {
  return path
    .split('/')
    .map((segment) => segment.split(';', 1)[0])
    .join('/');
}

/** UTF-8 of ASCII characters in more bytes than it needs. */
const OVERLONG = /[\xc0\xc1][\x80-\xbf]|\xe0[\x80\x81][\x80-\xbf]|\xf0\x80[\x80\x81][\x80-\xbf]/g;

/** The ASCII character that an overlong UTF-8 sequence stands for. */
function shortest(sequence: string): string {
  const [last = 0, before = 0] = [sequence.charCodeAt(sequence.length - 1), sequence.charCodeAt(sequence.length - 2)];
  return String.fromCharCode(((before & 1) << 6) | (last & 0x3f));
}

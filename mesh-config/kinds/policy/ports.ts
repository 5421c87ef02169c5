// toPorts of a Cilium policy: numbers, names, ranges, protocols.

import type { PortMatch, PortRule } from '../../model.ts';
import { portName } from '../../schema/names.ts';
import { show } from '../../schema/report.ts';
import { lowerRequests, portsToLookAt } from './l7.ts';
import { type EntryContext, inside, type Place } from './place.ts';
import { EXTENDED_PROTOCOLS, type WrittenPort, type WrittenToPorts } from './ports-schema.ts';

/** One entry of toPorts. Without ports it matches nothing; without rules it is plain L4. */
export function lowerToPorts(written: WrittenToPorts, place: EntryContext): PortRule {
  const ports = (written.ports ?? []).map((port, i) => lowerPort(port, inside(place, 'ports', i)));
  if (ports.length === 0) place.report.warn([...place.path, 'ports'], 'matches no traffic: no port is listed');
  const l7 = written.rules === undefined ? undefined : lowerRequests(written.rules, inside(place, 'rules'));
  const names = 'serverNames' in written ? (written.serverNames ?? []) : [];
  const looked = portsToLookAt({ l7, hasServerNames: names.length > 0, ports }, place);
  return { ports: looked, l7, serverNames: names.map((name) => name.toLowerCase().replace(/\.$/, '')) };
}

function lowerPort({ port: text, endPort = 0, protocol: written = 'ANY' }: WrittenPort, place: Place): PortMatch {
  const extended = EXTENDED_PROTOCOLS.find((name) => name === written);
  if (extended !== undefined) {
    place.report.problem([...place.path, 'protocol'], `protocol "${extended}" is not supported yet: it has no ports`);
    return { kind: 'number', port: 0, endPort: 0, protocol: 'ANY' };
  }
  const protocol = written as PortMatch['protocol'];
  if (text === undefined) {
    place.report.problem([...place.path, 'port'], 'required, but missing: "0" stands for every port');
    return { kind: 'number', port: 0, endPort: 0, protocol };
  }
  return lowerPortText(text, { endPort, protocol }, place);
}

/**
 * A port as a text: a name if it can be one, otherwise a number. `place` is the object with the fields "port" and "endPort".
 */
export function lowerPortText(
  text: string,
  { endPort, protocol }: { endPort: number; protocol: PortMatch['protocol'] },
  place: Place,
): PortMatch {
  const ignore = (why: string): void => place.report.warn([...place.path, 'endPort'], `is ignored: ${why}`);
  const name = text.toLowerCase();
  if (portName.safeParse(name).success) {
    if (endPort > 0) ignore(`a range needs a number, and ${show(text)} is a name`);
    return { kind: 'name', name, protocol };
  }
  const port = parsePort(text, inside(place, 'port')) ?? 0;
  if (port === 0) {
    if (endPort > 0) ignore('port 0 stands for every port');
    return { kind: 'number', port, endPort: port, protocol };
  }
  if (endPort > 0 && endPort < port) ignore(`it is below port ${port}, so only ${port} matches`);
  return { kind: 'number', port, endPort: Math.max(port, endPort), protocol };
}

/** undefined: refused. */
function parsePort(text: string, place: Place): number | undefined {
  const port = numberOf(text);
  if (port === undefined) {
    const right =
      'write a number from 0 (every port) to 65535, endPort for the end of a range, or a name of up to 15 characters';
    place.report.problem(place.path, `${show(text)} is no port: ${right}`);
    return undefined;
  }
  if (port > 65535) {
    place.report.problem(place.path, `${show(text)} is over 65535, the last port`);
    return undefined;
  }
  if (/^0./.test(text)) {
    const base = /^0x/i.test(text) ? 'hexadecimal' : /^0b/i.test(text) ? 'binary' : 'octal';
    place.report.warn(place.path, `${show(text)} begins with 0 and is therefore ${base}: it means ${port}`);
  }
  return port;
}

const NUMBER = /^(0x(_?[0-9a-f])+|0b(_?[01])+|0o?(_?[0-7])+|0|[1-9](_?[0-9])*)$/i;

/** A number in Go's notation: a leading 0, 0o, 0x or 0b tells the base, and "_" may stand before a digit but the first. */
function numberOf(text: string): number | undefined {
  if (!NUMBER.test(text)) return undefined;
  const digits = text.replaceAll('_', '');
  return Number(/^0[0-7]/.test(digits) ? `0o${digits}` : digits);
}

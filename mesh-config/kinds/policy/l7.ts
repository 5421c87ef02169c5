// What requests on a port must be: which parsers a policy may name where.

import type { L7Rules, PortMatch } from '../../model.ts';
import { lowerHttp } from './http.ts';
import { lowerKafka } from './kafka.ts';
import { lowerName } from './name.ts';
import { type EntryContext, inside, type Place } from './place.ts';
import type { WrittenToPorts } from './ports-schema.ts';

type WrittenRequests = NonNullable<WrittenToPorts['rules']>;

/** Rules of the one parser that is named. undefined: none, which is plain L4. */
export function lowerRequests(written: WrittenRequests, place: Place): L7Rules | undefined {
  const { http = [], kafka = [], dns = [] } = written;
  if ('l7' in written && written.l7proto === undefined) {
    place.report.problem([...place.path, 'l7'], 'needs "l7proto", the name of the parser that reads it');
  }
  if (http.length > 0) {
    return { kind: 'http', rules: http.map((rule, i) => lowerHttp(rule, inside(place, 'http', i))) };
  }
  if (kafka.length > 0) {
    return { kind: 'kafka', rules: kafka.map((rule, i) => lowerKafka(rule, inside(place, 'kafka', i))) };
  }
  if (dns.length > 0) return { kind: 'dns', rules: dns.map(lowerName) };
  if ('l7proto' in written && written.l7proto !== undefined) {
    return { kind: 'generic', parser: written.l7proto, rules: written.l7 ?? [] };
  }
  place.report.warn(place.path, 'has no effect: without an entry, every request is meant');
  return undefined;
}

/** What looks at requests: rules of a parser, or names of servers. */
type Looked = L7Rules['kind'] | 'names';

const WORDING: Readonly<Record<Looked, string>> = {
  http: 'HTTP rules are',
  kafka: 'Kafka rules are',
  dns: 'DNS rules are',
  generic: 'l7proto is',
  names: 'serverNames are',
};

interface Inspected {
  readonly l7: L7Rules | undefined;
  readonly hasServerNames: boolean;
  readonly ports: readonly PortMatch[];
}

/**
 * The ports where nothing is looked at, or where it can be: others are refused. `place` is the entry of toPorts. Names of
 * servers are a part of TLS, and that of TCP: with them ANY is TCP.
 */
export function portsToLookAt({ l7, hasServerNames, ports }: Inspected, place: EntryContext): readonly PortMatch[] {
  if (l7 === undefined && !hasServerNames) return ports;
  const looked: Looked = l7?.kind ?? 'names';
  const at = l7 === undefined ? ['serverNames'] : ['rules', l7.kind === 'generic' ? 'l7proto' : l7.kind];
  if (l7 !== undefined && hasServerNames) {
    const reason = 'cannot stand beside rules: requests inside TLS cannot be read where TLS does not end';
    place.report.problem([...place.path, 'serverNames'], reason);
  }
  checkDirection(looked, { ...place, path: [...place.path, ...at] });
  if (looked === 'dns' && ports.length === 0) {
    place.report.problem([...place.path, 'ports'], 'required where DNS rules are: write the ports of the DNS servers');
  }
  return ports.map((match, i) => {
    const port = inside(place, 'ports', i);
    const isTcp = looked === 'names' && match.protocol === 'ANY';
    if (isTcp) port.report.warn([...port.path, 'protocol'], 'is taken to be TCP, because only TCP has server names');
    const narrowed: PortMatch = isTcp ? { ...match, protocol: 'TCP' } : match;
    checkPort(narrowed, looked, port);
    return narrowed;
  });
}

function checkDirection(looked: Looked, { report, path, direction, on }: EntryContext): void {
  if (looked === 'dns' && direction === 'ingress') {
    report.problem(path, 'is only possible in egress: questions are looked at where they are asked');
  } else if (looked !== 'dns' && on === 'nodes') {
    report.problem(path, 'is not possible with nodeSelector: of the traffic of nodes only DNS can be looked at');
  }
}

function checkPort(match: PortMatch, looked: Looked, { report, path }: Place): void {
  const where = `where ${WORDING[looked]}`;
  if (match.kind === 'number' && match.port === 0) {
    report.problem([...path, 'port'], `must be a port from 1 to 65535 ${where}, not every port`);
  }
  const possible = looked === 'dns' ? ['TCP', 'UDP', 'ANY'] : ['TCP'];
  if (possible.includes(match.protocol)) return;
  const written = match.protocol === 'ANY' ? 'ANY, which is the default' : match.protocol;
  report.problem([...path, 'protocol'], `must be ${possible.join(' or ')} ${where}, not ${written}`);
}

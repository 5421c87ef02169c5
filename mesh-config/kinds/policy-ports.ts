// toPorts of a policy: ports, protocols, and the HTTP rules on them.

import { canBeginWith } from '../match/nfa.ts';
import { compilePattern, literalOf } from '../match/program.ts';
import type { HttpRule, PortMatch, PortRule } from '../model.ts';
import { portName } from '../schema/names.ts';
import { type Report, show } from '../schema/report.ts';
import type { Path } from '../yaml.ts';
import type { WrittenHttpRule, WrittenPort, WrittenToPorts } from './policy-schema.ts';

interface Place {
  readonly path: Path;
  readonly report: Report;
}

/** One entry of toPorts. Without ports it matches nothing; without HTTP rules it is plain L4. */
export function lowerToPorts(written: WrittenToPorts, place: Place): PortRule {
  const http = written.rules?.http ?? [];
  const ports = (written.ports ?? []).map((port, i) => {
    const path = [...place.path, 'ports', i];
    return lowerPort(port, http.length > 0, { ...place, path });
  });
  if (ports.length === 0) place.report.warn([...place.path, 'ports'], 'matches no traffic: no port is listed');
  if (written.rules && http.length === 0) {
    place.report.warn([...place.path, 'rules'], 'has no effect: without a rule in it, every request is allowed');
  }
  const rules = http.map((rule, i) => lowerHttp(rule, { ...place, path: [...place.path, 'rules', 'http', i] }));
  return { ports, l7: rules.length > 0 ? { kind: 'http', rules } : undefined };
}

function lowerPort(written: WrittenPort, hasHttp: boolean, place: Place): PortMatch {
  const protocol = written.protocol ?? 'ANY';
  const port = parsePort(written.port, { ...place, path: [...place.path, 'port'] });
  const endPort = written.endPort ?? 0;
  if (hasHttp) checkL7Port({ port, protocol }, place);
  if (port === undefined || port === 0 || endPort === 0) return { port: port ?? 0, endPort: port ?? 0, protocol };
  if (endPort < port) {
    place.report.warn([...place.path, 'endPort'], `is ignored: it is below port ${port}, so only ${port} matches`);
  }
  return { port, endPort: Math.max(port, endPort), protocol };
}

/** Go's strconv.ParseUint(text, 0, 16): a leading 0 means octal. undefined: refused. */
function parsePort(text: string, place: Place): number | undefined {
  const refuse = (reason: string): undefined => {
    place.report.problem(place.path, reason);
    return undefined;
  };
  if (portName.safeParse(text.toLowerCase()).success) {
    return refuse(`named ports are not supported yet: write the number instead of ${show(text)}`);
  }
  const octal = /^0[0-7]+$/.test(text);
  if (!octal && !/^(0|[1-9]\d{0,5})$/.test(text)) {
    return refuse(`${show(text)} is no port: write a number from 0 (every port) to 65535`);
  }
  const port = Number.parseInt(text, octal ? 8 : 10);
  if (port > 65535) return refuse(`${show(text)} is over 65535`);
  if (octal) place.report.warn(place.path, `${show(text)} begins with 0 and is therefore octal: it means ${port}`);
  return port;
}

/** The proxy sees TCP connections to a known port. */
function checkL7Port(match: { port: number | undefined; protocol: string }, place: Place): void {
  if (match.port === 0) place.report.problem([...place.path, 'port'], 'must not be 0 where HTTP rules are');
  if (match.protocol !== 'TCP') {
    const written = match.protocol === 'ANY' ? 'not ANY, which is the default' : `not ${match.protocol}`;
    place.report.problem([...place.path, 'protocol'], `must be TCP where HTTP rules are, ${written}`);
  }
}

function lowerHttp(written: WrittenHttpRule, place: Place): HttpRule {
  const { method = '', path = '', host = '', headers = [] } = written;
  for (const [field, text] of Object.entries({ method, path, host })) {
    if (text === '') continue;
    const compiled = compilePattern(text);
    const at = [...place.path, field];
    if (!compiled.ok) {
      place.report.problem(at, `${show(text)} is no RE2 regular expression: ${compiled.error}`);
    } else if (field === 'path' && !canBeginWith(compiled.value, '/')) {
      place.report.warn(at, `${show(text)} matches no path that begins with "/"`);
    } else if (field === 'method' && /[a-z]/.test(literalOf(compiled.value) ?? '')) {
      place.report.warn(at, `${show(text)} is not the usual method: methods are compared with their case`);
    }
  }
  return {
    method,
    path,
    host,
    headers: headers.map((text, i) => lowerHeader(text, { ...place, path: [...place.path, 'headers', i] })),
  };
}

/** "Name" asks for the header, "Name value" and "Name: value" for exactly that value. */
function lowerHeader(text: string, place: Place): HttpRule['headers'][number] {
  const space = text.indexOf(' ');
  const name = space < 0 ? text : text.slice(0, space).replace(/:+$/, '');
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) {
    place.report.problem(place.path, `${show(text)} is neither "Name" nor "Name: value"`);
  }
  return { name, value: space < 0 ? undefined : text.slice(space + 1) };
}

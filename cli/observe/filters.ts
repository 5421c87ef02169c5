// From command-line flags to flow filters.

import { err, ok, type Result } from '#common/result.ts';
import { DROP_NAMES } from '#observe/flow/drop-reasons.ts';
import { EVENT, type FlowFilter, TRACE_POINTS } from '#observe/flow/model.ts';

/** Flags that take a value, in the order of the help. */
export const FILTER_FLAGS = [
  { flags: '--pod <name>', about: 'to or from a pod: [namespace/]name-prefix; namespace "default" unless given' },
  { flags: '--from-pod <name>', about: 'from a pod' },
  { flags: '--to-pod <name>', about: 'to a pod' },
  { flags: '-n, --namespace <name>', about: 'to or from a namespace' },
  { flags: '--from-namespace <name>', about: 'from a namespace' },
  { flags: '--to-namespace <name>', about: 'to a namespace' },
  { flags: '--service <name>', about: 'to or from a service: [namespace/]name-prefix' },
  { flags: '--from-service <name>', about: 'from a service' },
  { flags: '--to-service <name>', about: 'to a service' },
  { flags: '-l, --label <selector>', about: 'to or from labels: "class=xwing", "org in (empire, alliance)"' },
  { flags: '--from-label <selector>', about: 'from labels' },
  { flags: '--to-label <selector>', about: 'to labels' },
  { flags: '--identity <id>', about: 'to or from a security identity: number, or "world", "host", …' },
  { flags: '--from-identity <id>', about: 'from a security identity' },
  { flags: '--to-identity <id>', about: 'to a security identity' },
  { flags: '--ip <address>', about: 'to or from an address or prefix' },
  { flags: '--from-ip <address>', about: 'from an address or prefix' },
  { flags: '--to-ip <address>', about: 'to an address or prefix' },
  { flags: '--workload <[kind/]name>', about: 'to or from a workload, e.g. Deployment/deathstar' },
  { flags: '--from-workload <[kind/]name>', about: 'from a workload' },
  { flags: '--to-workload <[kind/]name>', about: 'to a workload' },
  { flags: '--port <port>', about: 'to or from a port' },
  { flags: '--from-port <port>', about: 'from a port' },
  { flags: '--to-port <port>', about: 'to a port' },
  { flags: '--protocol <name>', about: 'tcp, udp, sctp, icmp, icmpv4, icmpv6 or http' },
  { flags: '--ip-version <4|6>', about: 'IPv4 or IPv6' },
  { flags: '--verdict <verdict>', about: 'FORWARDED, DROPPED, REDIRECTED, AUDIT or ERROR' },
  { flags: '--drop-reason-desc <name>', about: 'why it was dropped, e.g. POLICY_DENIED' },
  { flags: '--traffic-direction <direction>', about: 'ingress or egress' },
  { flags: '--tcp-flags <flags>', about: 'TCP flags that are set, e.g. SYN,ACK' },
  { flags: '-t, --type <type>', about: 'l7, drop, policy-verdict, trace, or trace:to-endpoint, trace:to-proxy, …' },
  { flags: '--http-status <code>', about: 'status code ("403") or its beginning ("4+")' },
  { flags: '--http-method <method>', about: 'HTTP method' },
  { flags: '--http-path <regex>', about: 'RE2 expression found in the path' },
  { flags: '--http-url <regex>', about: 'RE2 expression found in the URL' },
  { flags: '--trace-id <id>', about: 'trace of a distributed trace: 32 hexadecimal digits' },
  { flags: '--node-name <name>', about: 'node that saw the flow' },
  { flags: '--uuid <uuid>', about: 'one flow' },
] as const;

/** Whitelist and blacklist as the flags are read, one after the other. */
export interface FilterBuilder {
  /** Takes one flag, by its long name without dashes. The error names the value that makes no sense. */
  add(flag: string, value: string): Result<undefined, string>;
  /** The next flag excludes. */
  negate(): Result<undefined, string>;
  /** A message of the node about a filter field ("Cannot filter by source_ip: …") in the words of the flags. */
  inFlags(message: string): string;
  build(): Result<{ readonly whitelist: FlowFilter[]; readonly blacklist: FlowFilter[] }, string>;
}

/** One value of a filter field. "*" in `field` stands for the side: `side`, or either. */
interface Term {
  readonly field: string;
  readonly value: unknown;
  readonly side?: Side;
}
type Side = 'source' | 'destination';
type Filter = Readonly<Record<string, readonly unknown[]>>;

/**
 * Reads flags in the order in which they were written. All flags must hold, of one flag several times any: so a flag
 * for either side doubles the filters, one for each side. Each excluded flag is a filter of its own.
 */
export function createFilterBuilder(): FilterBuilder {
  const wanted: Term[] = [];
  const excluded: Term[] = [];
  let negated = false;
  const flagsOf = new Map<string, Set<string>>();
  return {
    add(flag, value) {
      const read = READERS[flag] ?? ((text: string) => ok({ field: flag.replaceAll('-', '_'), value: text }));
      const term = read(value);
      if (!term.ok) return err(`Cannot filter by --${flag} "${value}": ${term.error}`);
      (negated ? excluded : wanted).push(term.value);
      for (const field of fieldsOf(term.value)) flagsOf.set(field, (flagsOf.get(field) ?? new Set()).add(`--${flag}`));
      negated = false;
      return ok(undefined);
    },
    negate() {
      if (negated) return err('Cannot use --not twice in a row');
      negated = true;
      return ok(undefined);
    },
    inFlags: (message) =>
      message.replace(/^(Cannot filter by )(\w+):/, (whole, start: string, field: string) => {
        const flags = flagsOf.get(field);
        return flags === undefined ? whole : `${start}${[...flags].join(' or ')}:`;
      }),
    build() {
      if (negated) return err('Cannot end with --not: it needs a filter after it');
      const whitelist = wanted.length === 0 ? ok([]) : filtersOf(wanted);
      if (!whitelist.ok) return whitelist;
      const blacklist = excluded
        .map((term) => filtersOf([term]))
        .flatMap((filters) => (filters.ok ? filters.value : []));
      return ok({ whitelist: whitelist.value, blacklist });
    },
  };
}

/** The fields of the filters that a term becomes part of. */
function fieldsOf({ field, side }: Term): string[] {
  const name = field === NAMESPACE ? '*_pod' : field;
  return (side ? [side] : ['source', 'destination']).map((each) => name.replace('*', each));
}

function filtersOf(terms: readonly Term[]): Result<FlowFilter[], string> {
  const groups = Map.groupBy(withNamespaces(terms), (term) => `${term.field} ${term.side ?? ''}`);
  let filters: Filter[] = [{}];
  for (const group of groups.values()) {
    const { field, side } = group[0] as Term;
    // One field of a filter cannot say that two things hold at once.
    if (side !== undefined && groups.has(`${field} `)) {
      const name = field.replace('*_', '');
      return err(`Cannot filter by ${name} on either side and on the ${side}'s: choose one`);
    }
    const values = group.map((term) => term.value);
    const sides: readonly Side[] = side ? [side] : field.startsWith('*') ? ['source', 'destination'] : ['source'];
    filters = sides.flatMap((each) => filters.map((filter) => ({ ...filter, [field.replace('*', each)]: values })));
  }
  return ok(filters as FlowFilter[]);
}

/** A namespace completes the names of pods and services of its side; where there are none it is a filter of its own. */
function withNamespaces(terms: readonly Term[]): Term[] {
  const rest = terms.filter(({ field }) => field !== NAMESPACE);
  const used = new Set<Term>();
  const completed = rest.flatMap((term) => {
    if ((term.field !== '*_pod' && term.field !== '*_service') || String(term.value).includes('/')) return [term];
    const own = terms.filter(({ field, side }) => field === NAMESPACE && (side === undefined || side === term.side));
    for (const namespace of own) used.add(namespace);
    return own.length === 0 ? [term] : own.map(({ value }) => ({ ...term, value: `${value}/${term.value}` }));
  });
  const alone = terms.filter((term) => term.field === NAMESPACE && !used.has(term));
  return [...completed, ...alone.map((term) => ({ ...term, field: '*_pod', value: `${term.value}/` }))];
}

const NAMESPACE = '*_namespace';

type Reader = (value: string) => Result<Term, string>;

/** Readers of --name, --from-name and --to-name. */
const sided = (name: string, read: Reader): [string, Reader][] => [
  [name, read],
  [`from-${name}`, (value) => onSide(read(value), 'source')],
  [`to-${name}`, (value) => onSide(read(value), 'destination')],
];

function onSide(term: Result<Term, string>, side: Side): Result<Term, string> {
  return term.ok ? ok({ ...term.value, side }) : term;
}

const READERS: Readonly<Record<string, Reader>> = Object.fromEntries<Reader>([
  ...sided('pod', (value) => ok({ field: '*_pod', value })),
  ...sided('namespace', (value) => ok({ field: NAMESPACE, value })),
  ...sided('service', (value) => ok({ field: '*_service', value })),
  ...sided('label', (value) => ok({ field: '*_label', value })),
  ...sided('identity', readIdentity),
  ...sided('ip', (value) => ok({ field: '*_ip', value })),
  ...sided('workload', readWorkload),
  ...sided('port', (value) => ok({ field: '*_port', value })),
  ['http-status', (value) => ok({ field: 'http_status_code', value })],
  ['verdict', (value) => oneOf('verdict', value.toUpperCase(), VERDICTS)],
  ['traffic-direction', (value) => oneOf('traffic_direction', value.toUpperCase(), ['INGRESS', 'EGRESS'])],
  ['drop-reason-desc', (value) => oneOf('drop_reason_desc', value.toUpperCase(), DROP_NAMES)],
  ['ip-version', (value) => oneOf('ip_version', `IPv${value.replace(/^(ip)?v?/i, '')}`, ['IPv4', 'IPv6'])],
  ['trace-id', (value) => matching('trace_id', value, { form: TRACE_ID, what: '32 hexadecimal digits, not all 0' })],
  ['uuid', (value) => matching('uuid', value, { form: UUID, what: 'a UUID: 8-4-4-4-12 hexadecimal digits' })],
  ['tcp-flags', readTcpFlags],
  ['type', readType],
]);

const VERDICTS = ['FORWARDED', 'DROPPED', 'ERROR', 'AUDIT', 'REDIRECTED', 'TRACED', 'TRANSLATED'];
const IDENTITIES = ['unknown', 'host', 'world', 'unmanaged', 'health', 'init', 'remote-node', 'kube-apiserver'];
const TRACE_ID = /^(?!0+$)[0-9a-f]{32}$/i;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR', 'NS'];
const TYPES: Readonly<Record<string, number>> = {
  drop: EVENT.drop,
  trace: EVENT.trace,
  'policy-verdict': EVENT.policyVerdict,
  l7: EVENT.accessLog,
};

function oneOf(field: string, value: string, values: readonly string[]): Result<Term, string> {
  return values.includes(value) ? ok({ field, value }) : err(`not one of ${values.join(', ')}`);
}

function matching(field: string, value: string, { form, what }: { form: RegExp; what: string }): Result<Term, string> {
  return form.test(value) ? ok({ field, value: value.toLowerCase() }) : err(`not ${what}`);
}

function readIdentity(value: string): Result<Term, string> {
  const named = IDENTITIES.indexOf(value.replace(/^reserved:/, ''));
  if (named >= 0) return ok({ field: '*_identity', value: named });
  return /^\d{1,10}$/.test(value) ? ok({ field: '*_identity', value: Number(value) }) : err('not an identity');
}

function readWorkload(value: string): Result<Term, string> {
  const [first = '', second] = value.split('/');
  return ok({ field: '*_workload', value: second === undefined ? { name: first } : { kind: first, name: second } });
}

function readTcpFlags(value: string): Result<Term, string> {
  const flags = value.toUpperCase().split(',');
  const wrong = flags.find((flag) => !FLAGS.includes(flag));
  if (wrong !== undefined) return err(`"${wrong}" is not one of ${FLAGS.join(', ')}`);
  return ok({ field: 'tcp_flags', value: Object.fromEntries(flags.map((flag) => [flag, true])) });
}

function readType(value: string): Result<Term, string> {
  const [name = '', sub] = value.toLowerCase().split(':');
  const type = TYPES[name];
  if (type === undefined) return err(`not one of ${Object.keys(TYPES).join(', ')}`);
  if (sub === undefined) return ok({ field: 'event_type', value: { type } });
  const point = TRACE_POINTS.find(({ text }) => text === sub);
  const subType = name === 'trace' ? point?.subType : name === 'drop' && /^\d+$/.test(sub) ? Number(sub) : undefined;
  if (subType === undefined) return err(`"${sub}" is no kind of ${name}`);
  return ok({ field: 'event_type', value: { type, match_sub_type: true, sub_type: subType } });
}

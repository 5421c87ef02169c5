// Who may reach whom on which port: the verdict of every pair of workloads.

import { type Identity, identity, RESERVED } from '#common/ids.ts';
import { err, ok, type Result } from '#common/result.ts';
import { IP_PROTOCOL } from '../policy/l4.ts';
import { HOST_ENDPOINT } from '../tables.ts';
import type { Answer } from './lookup.ts';
import { resolveParty } from './party.ts';
import { formatPort, type Port, parsePort } from './port.ts';
import { describeRules } from './request.ts';
import type { World } from './world.ts';

/** A row and a column: pods of one workload that policy cannot tell apart, or a peer outside. */
export interface MatrixEnd {
  /** "namespace/workload", or "entity:world". */
  readonly name: string;
  /** "namespace/name" of each; none: no pod. */
  readonly pods: readonly string[];
  readonly identity: number;
  /** What their policy denies passes. */
  readonly audit: boolean;
}

/** 'audit': it is denied and passes all the same. */
export type CellVerdict = 'allow' | 'deny' | 'redirect' | 'audit';

/** One pair on one port. */
export interface MatrixCell {
  readonly from: string;
  readonly to: string;
  /** "80/TCP". */
  readonly port: string;
  readonly verdict: CellVerdict;
  /** Missing: the end is no endpoint of this node. */
  readonly egress?: CellVerdict;
  readonly ingress?: CellVerdict;
  /** "Kind namespace/name" of the policies that decide. */
  readonly policies: readonly string[];
  /** Parsers of the proxy that look at it: "http". */
  readonly parsers: readonly string[];
}

export interface Matrix {
  readonly ends: readonly MatrixEnd[];
  readonly ports: readonly string[];
  /** Every pair of ends on every port, but for a pod with itself and peers that are both outside. */
  readonly cells: readonly MatrixCell[];
  /** Ports that came up and were left out. */
  readonly morePorts: readonly string[];
}

export interface MatrixRequest {
  /** As in Question; none: those of containers and policies, the first of them. */
  readonly ports: readonly string[];
  /** Peers beside the pods: "entity:world", an address. */
  readonly peers: readonly string[];
  /** '': every namespace. */
  readonly namespace: string;
}

/** Ports that are shown when nobody says which. */
const DEFAULT_PORTS = 6;
/** Cells are computed and held at once. */
const MAX_CELLS = 1_000_000;

/** The matrix of all pods. The error says which port or peer makes no sense. */
export function verdictMatrix(request: MatrixRequest, world: World): Result<Matrix, string> {
  const ends = podEnds(world).filter((end) => request.namespace === '' || end.name.startsWith(`${request.namespace}/`));
  for (const text of request.peers) {
    const found = resolveParty(text, world, { port: 0, protocol: 0 });
    if (!found.ok) return found;
    const { name, identity: number } = found.value.party;
    if (!ends.some((end) => end.name === name)) {
      const audit = number === RESERVED.host && world.audits(HOST_ENDPOINT);
      ends.push({ name, pods: [], identity: number, audit });
    }
  }
  const ports = portsOf(request.ports, world);
  if (!ports.ok) return ports;
  const { shown, more } = ports.value;
  if (ends.length ** 2 * shown.length > MAX_CELLS) {
    return err(`${ends.length} workloads and ${shown.length} ports are more than ${MAX_CELLS} verdicts`);
  }
  const cells = shown.flatMap((port) =>
    ends.flatMap((from) => ends.flatMap((to) => cellOf({ from, to, port }, world) ?? [])),
  );
  return ok({ ends, ports: shown.map(formatPort), cells, morePorts: more.map(formatPort) });
}

function podEnds(world: World): MatrixEnd[] {
  const groups = new Map<string, { end: Omit<MatrixEnd, 'pods'>; pods: string[] }>();
  const { desired, inputs } = world.tables;
  for (const [key, row] of inputs.endpoints.entries()) {
    const { identity: number, audit = false } = desired.enforcement.get(key) ?? {};
    if (number === undefined || row.device === undefined) continue;
    const group = `${number} ${audit} ${row.namespace}/${row.workload.name}`;
    const known = groups.get(group);
    if (known) known.pods.push(key);
    else
      groups.set(group, {
        end: { name: `${row.namespace}/${row.workload.name}`, identity: number, audit },
        pods: [key],
      });
  }
  // Pods of one workload whose labels or audit modes differ stand apart, under their own names.
  const byName = Map.groupBy(groups.values(), ({ end }) => end.name);
  const ends = [...groups.values()].map(({ end, pods }) => {
    const isAmbiguous = (byName.get(end.name)?.length ?? 0) > 1;
    return { ...end, name: isAmbiguous ? (pods[0] ?? end.name) : end.name, pods: pods.sort() };
  });
  return ends.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function portsOf(
  wanted: readonly string[],
  world: World,
): Result<{ readonly shown: readonly Port[]; readonly more: readonly Port[] }, string> {
  if (wanted.length === 0) {
    const all = knownPorts(world);
    return ok({ shown: all.slice(0, DEFAULT_PORTS), more: all.slice(DEFAULT_PORTS) });
  }
  const shown: Port[] = [];
  for (const text of wanted) {
    const port = parsePort(text);
    if (!port.ok) return port;
    if (!('port' in port.value)) return err(`port "${text}": write its number, a name differs from pod to pod`);
    shown.push(port.value);
  }
  return ok({ shown, more: [] });
}

/** The ports of containers, then those that policies name; 80/TCP if there are none. */
function knownPorts({ tables }: World): readonly Port[] {
  const found = new Map<string, Port>();
  const add = (port: number, protocol: string): void => {
    const names = protocol === 'ANY' ? (['TCP', 'UDP'] as const) : [protocol as Port['protocol']];
    for (const name of names) if (port > 0) found.set(formatPort({ port, protocol: name }), { port, protocol: name });
  };
  for (const { object } of tables.inputs.pods.values()) {
    for (const { ports } of object.spec.containers) for (const { port, protocol } of ports) add(port, protocol);
  }
  for (const policy of tables.inputs.policies.values()) {
    const items = policy.rules.flatMap((rule) => [...(rule.ingress ?? []), ...(rule.egress ?? [])]);
    const matches = items.flatMap(({ ports }) => (ports === 'all' ? [] : ports.flatMap((rule) => rule.ports)));
    for (const match of matches) if (match.kind === 'number') add(match.port, match.protocol);
  }
  if (found.size === 0) add(80, 'TCP');
  return [...found.values()].sort((a, b) => a.protocol.localeCompare(b.protocol) || a.port - b.port);
}

function cellOf(
  pair: { readonly from: MatrixEnd; readonly to: MatrixEnd; readonly port: Port },
  world: World,
): MatrixCell | undefined {
  const { from, to, port } = pair;
  if (from === to && from.pods.length < 2) return undefined;
  const l4 = { protocol: IP_PROTOCOL[port.protocol], port: port.port, bits: 24 };
  const ask = (direction: 'egress' | 'ingress', subject: MatrixEnd, peer: MatrixEnd): Answer | undefined =>
    world.answer({ direction, subject: identity(subject.identity), peer: identity(peer.identity), l4 });
  const egress = ask('egress', from, to);
  const ingress = ask('ingress', to, from);
  if (!egress && !ingress) return undefined;
  const sides = [
    { answer: egress, verdict: egress && sideVerdict(egress, from) },
    { answer: ingress, verdict: ingress && sideVerdict(ingress, to) },
  ] as const;
  const verdict = (['deny', 'redirect', 'audit'] as const).find((one) => sides.some((side) => side.verdict === one));
  // A denied flow is the work of those who deny; an allowed one of all who allow.
  const deciding = sides.filter((side) => verdict !== 'deny' || side.verdict === 'deny');
  const parsers = [
    parsersOf(egress, to.identity as Identity, world),
    parsersOf(ingress, from.identity as Identity, world),
  ];
  return {
    from: from.name,
    to: to.name,
    port: formatPort(port),
    verdict: verdict ?? 'allow',
    ...(sides[0].verdict ? { egress: sides[0].verdict } : {}),
    ...(sides[1].verdict ? { ingress: sides[1].verdict } : {}),
    policies: [...new Set(deciding.flatMap(({ answer }) => answer?.policies ?? []))].sort(),
    parsers: [...new Set(parsers.flat())].sort(),
  };
}

function sideVerdict({ verdict }: Answer, subject: MatrixEnd): CellVerdict {
  return verdict === 'deny' && subject.audit ? 'audit' : verdict;
}

function parsersOf(answer: Answer | undefined, peer: Identity, world: World): readonly string[] {
  const ruleset = world.tables.desired.rulesets.get(String(answer?.entry?.ruleset ?? ''));
  return ruleset ? describeRules(ruleset, peer).parsers : [];
}

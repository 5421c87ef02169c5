// For tests: policies of everything that the model can say, at random.

import { type Cidr, parseCidr } from '#common/ip.ts';
import type {
  DirectionRule,
  Entity,
  L7Rules,
  Labels,
  Meta,
  NamePattern,
  PeerSelector,
  PolicyObject,
  PortMatch,
  PortRule,
  Protocol,
  Requirement,
  Selector,
} from '#mesh-config/model.ts';
import type { Pick } from './random.fixture.ts';

export const one = <T>(list: readonly T[], pick: Pick): T => list[pick(list.length)] as T;
export const some = <T>(list: readonly T[], pick: Pick): T[] => list.filter(() => pick(3) === 0);
const cidr = (text: string): Cidr => {
  const parsed = parseCidr(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
};

export const NAMESPACES = ['default', 'other'];
export const CIDRS = [
  '10.0.0.0/8',
  '10.1.0.0/16',
  '10.1.1.0/24',
  '10.1.1.7/32',
  '0.0.0.0/0',
  '::/0',
  '2001:db8::/32',
  '::/8',
].map(cidr);
export const HOSTS = ['a.example.com', 'b.example.com', 'deep.a.example.com', 'example.com'];
const PATTERNS: readonly NamePattern[] = [
  { kind: 'name', name: 'a.example.com' },
  { kind: 'pattern', pattern: '*.example.com' },
  { kind: 'pattern', pattern: '**.example.com' },
  { kind: 'pattern', pattern: '*' },
];
const ENTITIES: readonly Entity[] = [
  ...(['all', 'world', 'world-ipv4', 'world-ipv6', 'cluster', 'host', 'remote-node', 'kube-apiserver'] as const),
  ...(['health', 'none'] as const),
];
export const meta = (namespace: string, name: string, labels: Labels = {}): Meta => ({
  namespace,
  name,
  labels,
  annotations: {},
  origin: { file: 'random.yaml', line: 1 },
});

function requirement(pick: Pick, source: string): Requirement {
  const operator = one(['In', 'In', 'NotIn', 'Exists', 'DoesNotExist'] as const, pick);
  const values = operator === 'In' || operator === 'NotIn' ? [String(pick(3)), ...(pick(3) === 0 ? ['1'] : [])] : [];
  return { source, key: one(['x', 'y'], pick), operator, values };
}

function selector(pick: Pick, source = 'any'): Selector {
  const namespace = (value: string): Requirement => ({
    source: 'k8s',
    key: 'io.kubernetes.pod.namespace',
    operator: 'In',
    values: [value],
  });
  const requirements = Array.from({ length: pick(3) }, () => requirement(pick, source));
  if (pick(3) > 0) requirements.push(namespace(one(NAMESPACES, pick)));
  return { requirements };
}

function peer(pick: Pick): PeerSelector {
  switch (pick(8)) {
    case 0:
      return { kind: 'entity', entity: one(ENTITIES, pick) };
    case 1:
      return { kind: 'cidr', cidr: one(CIDRS, pick), except: some(CIDRS, pick).slice(0, 1) };
    case 2: {
      const group = pick(2) === 0 ? `g${pick(2)}` : { requirements: [requirement(pick, 'any')] };
      return { kind: 'cidrGroup', group, except: some(CIDRS, pick).slice(0, 1) };
    }
    case 3:
      return { kind: 'fqdn', name: one(PATTERNS, pick) };
    case 4: {
      const service = pick(2) === 0 ? `s${pick(2)}` : { requirements: [requirement(pick, 'any')] };
      const anywhere = typeof service !== 'string' && pick(2) === 0;
      return { kind: 'service', namespace: anywhere ? '' : one(NAMESPACES, pick), service };
    }
    case 5:
      return {
        kind: 'labels',
        selector: {
          requirements: [
            { source: 'reserved', key: 'remote-node', operator: 'Exists', values: [] },
            { source: 'node', key: 'zone', operator: 'In', values: [String(pick(2))] },
          ],
        },
      };
    default:
      return { kind: 'labels', selector: selector(pick) };
  }
}

const PROTOCOLS: readonly Protocol[] = ['TCP', 'TCP', 'TCP', 'UDP', 'ANY'];

function portMatch(pick: Pick): PortMatch {
  const protocol = one(PROTOCOLS, pick);
  switch (pick(6)) {
    case 0:
      return { kind: 'name', name: one(['http', 'admin'], pick), protocol };
    case 1:
      return { kind: 'number', port: 80, endPort: one([80, 81, 95], pick), protocol };
    case 2:
      return { kind: 'number', port: 0, endPort: 0, protocol: one(['TCP', 'ICMP'] as const, pick) };
    case 3:
      return { kind: 'number', port: 8, endPort: 8, protocol: 'ICMP' };
    default:
      return { kind: 'number', port: one([80, 81], pick), endPort: 0, protocol };
  }
}

function l7(pick: Pick): L7Rules | undefined {
  const http = (method: string) => ({ method, path: '', host: '', headers: [] });
  switch (pick(10)) {
    case 0:
      return { kind: 'http', rules: [http(one(['GET', 'POST', ''], pick))] };
    case 1:
      return { kind: 'http', rules: [http('GET'), http('PUT')] };
    case 2:
      return { kind: 'dns', rules: [one(PATTERNS, pick)] };
    case 3:
      return {
        kind: 'kafka',
        rules: [{ role: 'produce', apiKey: '', apiVersion: undefined, clientId: '', topic: 't' }],
      };
    default:
      return undefined;
  }
}

function portRule(pick: Pick, isPlain: boolean): PortRule {
  const serverNames = !isPlain && pick(8) === 0 ? [one(HOSTS, pick)] : [];
  const ports = Array.from({ length: 1 + pick(2) }, () => portMatch(pick)).map((match) =>
    match.kind === 'number' && match.port > 0 ? { ...match, endPort: Math.max(match.port, match.endPort) } : match,
  );
  return { ports, l7: isPlain ? undefined : l7(pick), serverNames };
}

function direction(pick: Pick, name: string, isPlain: boolean): readonly DirectionRule[] | undefined {
  if (pick(3) === 0) return undefined;
  return Array.from({ length: pick(3) }, (_, i) => ({
    peers: pick(4) === 0 ? 'any' : Array.from({ length: pick(3) }, () => peer(pick)),
    ports: pick(4) === 0 ? 'all' : Array.from({ length: 1 + pick(2) }, () => portRule(pick, isPlain)),
    deny: pick(6) === 0,
    place: { line: i + 1, field: `spec.${name}[${i}]` },
  }));
}

/** The policy `head`, half of the time without anything for the proxy. */
export function randomPolicy(pick: Pick, head: Omit<PolicyObject, 'rules'>): PolicyObject {
  const isPlain = pick(2) === 0;
  const rule = () => ({
    on: pick(8) === 0 ? ('nodes' as const) : ('endpoints' as const),
    subject: pick(8) === 0 ? { requirements: [] } : selector(pick),
    ingress: direction(pick, 'ingress', isPlain),
    egress: direction(pick, 'egress', isPlain),
    defaultDeny: { ingress: pick(4) > 0, egress: pick(4) > 0 },
  });
  return { ...head, rules: Array.from({ length: 1 + pick(2) }, rule) };
}

/** The policy further down in its file. */
export function movedPolicy(policy: PolicyObject): PolicyObject {
  const moved = (items: readonly DirectionRule[] | undefined): readonly DirectionRule[] | undefined =>
    items?.map((item) => ({ ...item, place: { ...item.place, line: item.place.line + 10 } }));
  const rules = policy.rules.map((rule) => ({ ...rule, ingress: moved(rule.ingress), egress: moved(rule.egress) }));
  return { ...policy, rules };
}

// For tests: what policy says of one flow, read off the inputs rule by rule, without anything that compute keeps.

import { type Address, type Cidr, familyOf } from '#common/ip.ts';
import type {
  DirectionRule,
  Labels,
  PeerSelector,
  PortMatch,
  PortRule,
  Requirement,
  Selector,
} from '#mesh-config/model.ts';
import { matchesName } from '../identity/name-pattern.ts';
import type { Parser } from '../ruleset-rows.ts';
import type { Inputs, NamedPort, PodFacts } from '../tables.ts';

/** One end of a flow. */
export type Party =
  | { readonly kind: 'pod'; readonly row: PodFacts & { readonly init?: boolean } }
  | { readonly kind: 'node'; readonly name: string }
  | { readonly kind: 'address'; readonly address: Address };

export interface OracleFlow {
  readonly direction: 'ingress' | 'egress';
  readonly subject: Party;
  readonly peer: Party;
  readonly protocol: 'TCP' | 'UDP' | 'ICMP';
  readonly port: number;
}

export interface Reading {
  readonly action: 'allow' | 'deny' | 'redirect';
  readonly enforced: boolean;
  readonly parser: Parser | undefined;
  readonly wildcard: boolean;
  readonly rules: readonly string[];
  readonly denied: readonly string[];
}

type Label = readonly [source: string, key: string, value: string];

/** One entry that matches the flow: a port rule of an item, for one of its peers. */
interface Match {
  readonly kind: 'allow' | 'deny' | 'redirect' | 'refuse';
  readonly selector: string;
  readonly ports: string;
  readonly rule: PortRule | undefined;
  readonly builtIn: boolean;
}

const isApiServer = (inputs: Inputs, addresses: readonly Address[]): boolean => {
  const servers = [...inputs.endpointSlices.values()]
    .filter((slice) => slice.namespace === 'default' && slice.service === 'kubernetes')
    .flatMap((slice) => slice.addresses);
  return addresses.some((ip) => servers.includes(ip));
};

/** Labels of a party, for selectors of labels and entities. */
function labelsOf(inputs: Inputs, party: Party): readonly Label[] {
  if (party.kind === 'address') {
    const api: Label[] = isApiServer(inputs, [party.address]) ? [['reserved', 'kube-apiserver', '']] : [];
    return [['reserved', `world-ipv${familyOf(party.address)}`, ''], ...api];
  }
  if (party.kind === 'node') {
    const node = inputs.nodes.get(party.name);
    const api: Label[] =
      node && (node.apiServer || isApiServer(inputs, node.addresses)) ? [['reserved', 'kube-apiserver', '']] : [];
    if (!node || node.local) return [['reserved', 'host', ''], ...api];
    const own = Object.entries(node.labels).map(([key, value]): Label => ['node', key, value]);
    return [['reserved', 'remote-node', ''], ...api, ...own];
  }
  const { row } = party;
  if (row.init) return [['reserved', 'init', '']];
  const namespace = { ...inputs.namespaces.get(row.namespace)?.labels, 'kubernetes.io/metadata.name': row.namespace };
  return [
    ...Object.entries(row.labels).map(([key, value]): Label => ['k8s', key, value]),
    ...Object.entries(namespace).map(([key, value]): Label => ['k8s', `io.cilium.k8s.namespace.labels.${key}`, value]),
    ['k8s', 'io.kubernetes.pod.namespace', row.namespace],
    ['k8s', 'io.cilium.k8s.policy.cluster', 'default'],
    ['k8s', 'io.cilium.k8s.policy.serviceaccount', row.serviceAccount],
  ];
}

function selects({ requirements }: Selector, labels: readonly Label[]): boolean {
  return requirements.every(({ source, key, operator, values }: Requirement) => {
    const found = labels.filter(([s, k]) => k === key && (source === 'any' ? s !== 'node' : s === source));
    if (operator === 'Exists') return found.length > 0;
    if (operator === 'DoesNotExist') return found.length === 0;
    const isIn = found.some(([, , value]) => values.includes(value));
    return operator === 'In' ? isIn : !isIn;
  });
}

const asK8s = (labels: Labels): Label[] => Object.entries(labels).map(([key, value]): Label => ['k8s', key, value]);

function inside({ address, bits }: Cidr, ip: Address): boolean {
  if (familyOf(address) !== familyOf(ip)) return false;
  for (let bit = 0; bit < bits; bit++) {
    const at = (bytes: Address): number => (bytes.charCodeAt(bit >> 3) >> (7 - (bit & 7))) & 1;
    if (at(address) !== at(ip)) return false;
  }
  return true;
}

const ENTITY: Readonly<Record<string, (labels: ReadonlySet<string>) => boolean>> = {
  all: () => true,
  none: () => false,
  world: (names) => names.has('world-ipv4') || names.has('world-ipv6'),
  cluster: (names) =>
    names.has('pod') || ['host', 'remote-node', 'init', 'kube-apiserver'].some((name) => names.has(name)),
};

function peerHolds(inputs: Inputs, peer: PeerSelector, party: Party): boolean {
  const labels = labelsOf(inputs, party);
  const ip = party.kind === 'address' ? party.address : undefined;
  const inAny = (cidrs: readonly Cidr[]): boolean => ip !== undefined && cidrs.some((cidr) => inside(cidr, ip));
  switch (peer.kind) {
    case 'labels':
      return selects(peer.selector, labels);
    case 'entity': {
      const names = new Set(labels.filter(([source]) => source === 'reserved').map(([, key]) => key));
      if (party.kind === 'pod' && !party.row.init) names.add('pod');
      return ENTITY[peer.entity]?.(names) ?? names.has(peer.entity);
    }
    case 'cidr':
      return inAny([peer.cidr]) && !inAny(peer.except);
    case 'cidrGroup': {
      const { group } = peer;
      const groups = [...inputs.cidrGroups.values()].filter((one) =>
        typeof group === 'string' ? one.name === group : selects(group, asK8s(one.labels)),
      );
      return inAny(groups.flatMap((one) => one.cidrs)) && !inAny(peer.except);
    }
    case 'fqdn':
      return [...inputs.names.values()].some(
        (row) => ip && matchesName(peer.name, row.name) && row.addresses.some((a) => a === ip),
      );
    case 'service':
      return servicesOf(inputs, peer).some(({ namespace, name, selector }) => {
        if (selector) {
          const { row } = party as { row: PodFacts & { init?: boolean } };
          if (party.kind !== 'pod' || row.init || row.namespace !== namespace) return false;
          return Object.entries(selector).every(([key, value]) => row.labels[key] === value);
        }
        const slices = [...inputs.endpointSlices.values()].filter(
          (s) => s.namespace === namespace && s.service === name,
        );
        return slices.some((slice) => ip && slice.addresses.some((a) => a === ip));
      });
  }
}

function servicesOf(inputs: Inputs, { namespace, service }: Extract<PeerSelector, { kind: 'service' }>) {
  return [...inputs.services.values()].filter((one) =>
    typeof service === 'string'
      ? one.namespace === namespace && one.name === service
      : (namespace === '' || one.namespace === namespace) && selects(service, asK8s(one.labels)),
  );
}

function portHolds(match: PortMatch, flow: OracleFlow, deny: boolean): boolean {
  if (match.protocol === 'ANY' ? flow.protocol === 'ICMP' : match.protocol !== flow.protocol) return false;
  if (match.kind === 'number') return match.port === 0 || (flow.port >= match.port && flow.port <= match.endPort);
  const destination = flow.direction === 'ingress' ? flow.subject : flow.peer;
  if (destination.kind !== 'pod') return false;
  const named = destination.row.namedPorts.filter(
    (p: NamedPort) => p.name === match.name && p.protocol === flow.protocol,
  );
  return (deny || named.length === 1) && named.some((p) => p.port === flow.port);
}

function matchesOf(inputs: Inputs, item: DirectionRule, flow: OracleFlow): readonly Match[] {
  // What is the same selector: groups and services count one by one.
  const texts = (peer: PeerSelector): readonly string[] => {
    if (peer.kind !== 'service') return [JSON.stringify(peer)];
    const holding = servicesOf(inputs, peer).filter(({ namespace, name }) =>
      peerHolds(inputs, { kind: 'service', namespace, service: name }, flow.peer),
    );
    return holding.map(({ namespace, name, selector }) => JSON.stringify([namespace, selector ?? name]));
  };
  const peers =
    item.peers === 'any'
      ? ['any']
      : item.peers
          .filter((peer) => peerHolds(inputs, peer, flow.peer))
          .flatMap((peer) => (peer.kind === 'entity' && peer.entity === 'all' ? ['any'] : texts(peer)));
  if (item.ports === 'all') {
    const kind = item.deny ? 'deny' : 'allow';
    return peers.map((selector) => ({ kind, selector, ports: 'all', rule: undefined, builtIn: false }));
  }
  return item.ports.flatMap((rule) =>
    rule.ports
      .filter((match) => portHolds(match, flow, item.deny))
      .flatMap((match) => {
        const hasL7 = rule.l7 !== undefined || rule.serverNames.length > 0;
        const kind = item.deny
          ? hasL7
            ? ('refuse' as const)
            : ('deny' as const)
          : hasL7
            ? ('redirect' as const)
            : ('allow' as const);
        const ports = match.kind === 'number' ? `${match.port} ${match.endPort}` : `${flow.port} ${flow.port}`;
        // Peers with a named port are their own selector at egress.
        const suffix = match.kind === 'name' && flow.direction === 'egress' ? ` ${match.name}` : '';
        return peers.map((selector) => ({ kind, selector: selector + suffix, ports, rule, builtIn: false }));
      }),
  );
}

/** What all rules together say of the flow. `forced`: default deny in any case. */
export function readRules(inputs: Inputs, flow: OracleFlow): Reading {
  const subjectLabels = labelsOf(inputs, flow.subject);
  const isNode = flow.subject.kind === 'node';
  const node = [...inputs.nodes.values()].find((one) => one.local);
  const nodeLabels: readonly Label[] = [['reserved', 'host', ''], ...asK8s(node?.labels ?? {})];
  const forced = flow.subject.kind === 'pod' && flow.subject.row.init === true;
  const rules = [...inputs.policies.values()].flatMap((policy) =>
    policy.rules
      .filter((rule) => rule[flow.direction] !== undefined && (rule.on === 'nodes') === isNode)
      .filter((rule) => {
        const anySource = { requirements: rule.subject.requirements.map((r) => ({ ...r, source: 'any' })) };
        return isNode ? selects(anySource, nodeLabels) : selects(rule.subject, subjectLabels);
      }),
  );
  const matches = rules.flatMap((rule) =>
    (rule[flow.direction] ?? []).flatMap((item) => matchesOf(inputs, item, flow)),
  );
  const enforced = forced || rules.length > 0;
  const defaultDeny = forced || rules.some((rule) => rule.defaultDeny[flow.direction]);
  const builtIn = { kind: 'allow' as const, ports: 'all', rule: undefined };
  const fromHost = flow.direction === 'ingress' && labelsOf(inputs, flow.peer).some(([, key]) => key === 'host');
  const all: Match[] = [...matches];
  if (!defaultDeny) all.push({ ...builtIn, selector: 'any', builtIn: true });
  else if (fromHost && rules.length > 0) all.push({ ...builtIn, selector: 'host', builtIn: false });
  return { enforced, ...verdictOf(all) };
}

const NO_L7 = { parser: undefined, wildcard: false, rules: [], denied: [] } as const;
const STRENGTH: readonly Parser[] = ['http', 'kafka', 'generic', 'tls', 'dns'];

function verdictOf(all: readonly Match[]): Omit<Reading, 'enforced'> {
  const kinds = new Set(all.map((match) => match.kind));
  if (kinds.has('deny')) return { action: 'deny', ...NO_L7 };
  if (!kinds.has('allow') && !kinds.has('redirect')) return { action: 'deny', ...NO_L7 };
  if (!kinds.has('redirect') && !kinds.has('refuse')) return { action: 'allow', ...NO_L7 };
  const allows = all.filter((match) => match.kind === 'allow' || match.kind === 'redirect');
  const parser = STRENGTH.find((one) => allows.some((match) => texts(match, one).length > 0));
  const denied = all
    .filter((match) => match.kind === 'refuse')
    .flatMap((match) => STRENGTH.flatMap((p) => texts(match, p)));
  const rules = parser ? allows.flatMap((match) => texts(match, parser)) : [];
  const wildcard = parser
    ? allows.some((match) => lifts(match, parser, allows)) || rules.some(isAll)
    : kinds.has('allow');
  return {
    action: 'redirect',
    parser,
    wildcard,
    rules: [...new Set(rules)].sort(),
    denied: [...new Set(denied)].sort(),
  };
}

function texts({ rule }: Match, parser: Parser): readonly string[] {
  if (parser === 'tls') return rule?.serverNames ?? [];
  if (rule?.l7?.kind !== parser) return [];
  return rule.l7.rules.map((one) => JSON.stringify(one));
}

function isAll(text: string): boolean {
  return text.includes('"method":""') || text === JSON.stringify({ kind: 'pattern', pattern: '*' });
}

function lifts(match: Match, parser: Parser, all: readonly Match[]): boolean {
  if (texts(match, parser).length > 0) return false;
  if (match.builtIn) return true;
  const beside = all.some(
    (other) => other.selector === match.selector && other.ports === match.ports && texts(other, parser).length > 0,
  );
  const own = STRENGTH.filter((one) => texts(match, one).length > 0);
  if (parser === 'tls') return !beside;
  if (parser === 'dns') {
    const samePorts = all.some((other) => other.ports === match.ports && texts(other, 'dns').length > 0);
    return samePorts && !(own.length > 0 && beside);
  }
  return own.length === 0 || own.every((one) => one === 'tls') || !beside;
}

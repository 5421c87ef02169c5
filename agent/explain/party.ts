// From what people write for the end of a flow to an identity.

import { type Identity, identity, RESERVED } from '#common/ids.ts';
import { type Address, address, formatAddress, parseAddress } from '#common/ip.ts';
import { err, ok, type Result } from '#common/result.ts';
import type { EndpointRow, FrontendRow, RemotePodRow } from '../tables.ts';
import type { Party } from './model.ts';
import type { World } from './world.ts';

/** A party, and the port behind the service that was asked for. */
export interface Resolved {
  readonly party: Party;
  readonly port?: number;
}

/** The port that is asked about, for services and port names. */
export interface WantedPort {
  readonly port: number;
  readonly protocol: number;
}

const ENTITIES: Readonly<Record<string, Identity>> = {
  host: RESERVED.host,
  world: RESERVED.worldIpv4,
  'world-ipv4': RESERVED.worldIpv4,
  'world-ipv6': RESERVED.worldIpv6,
  'remote-node': RESERVED.remoteNode,
  'kube-apiserver': RESERVED.kubeApiserver,
  health: RESERVED.health,
  ingress: RESERVED.ingress,
  init: RESERVED.init,
  unmanaged: RESERVED.unmanaged,
};

/** Finds who `text` is. Question in model.ts says what may be written. */
export function resolveParty(text: string, world: World, wanted: WantedPort): Result<Resolved, string> {
  const colon = text.indexOf(':');
  const rest = text.slice(colon + 1);
  switch (colon < 0 ? '' : text.slice(0, colon)) {
    case 'entity':
      return entity(rest, world);
    case 'identity':
      return byIdentity(rest, world);
    case 'service':
    case 'svc':
      return service(rest, world, wanted);
    case 'name':
    case 'fqdn':
      return name(rest, world);
  }
  const parsed = parseAddress(text);
  return parsed.ok ? ok({ party: atAddress(parsed.value, world, wanted) }) : pod(text, world);
}

function entity(text: string, world: World): Result<Resolved, string> {
  const found = ENTITIES[text];
  if (found === undefined) {
    const many = ['all', 'cluster', 'none'].includes(text) ? ' stands for many peers; ask about one' : ' is not known';
    return err(`entity "${text}"${many}: ${Object.keys(ENTITIES).join(', ')}`);
  }
  const party = { name: `entity:${text}`, kind: 'entity', identity: found, labels: world.labelsOf(found) } as const;
  return ok({ party });
}

function byIdentity(text: string, world: World): Result<Resolved, string> {
  const number = /^\d{1,9}$/.test(text) ? identity(Number(text)) : undefined;
  const labels = number === undefined ? [] : world.labelsOf(number);
  if (number === undefined || labels.length === 0) return err(`there is no identity "${text}"`);
  const owner = [...world.tables.desired.enforcement.values()].find((row) => row.identity === number)?.endpoint;
  const kind = owner === undefined ? 'entity' : 'pod';
  return ok({ party: { name: owner ?? `identity:${number}`, kind, identity: number, labels } });
}

function pod(text: string, world: World): Result<Resolved, string> {
  const [first = '', second, ...more] = text.split('/');
  const namespace = second === undefined ? 'default' : first;
  const wanted = second ?? first;
  if (more.length > 0 || wanted === '' || namespace === '') {
    return err(`"${text}" is no pod: write NAMESPACE/NAME, or NAME of namespace "default"`);
  }
  const { endpoints, remotePods } = world.tables.inputs;
  const key = `${namespace}/${wanted}`;
  const row = endpoints.get(key) ?? remotePods.get(key);
  if (row) return podParty(key, row, world);
  const siblings = [...endpoints.entries()].filter(
    ([, one]) => one.namespace === namespace && one.workload.name === wanted,
  );
  const [member] = siblings;
  if (member === undefined) return err(`there is no pod or workload "${key}"${nearMisses(wanted, world)}`);
  const found = podParty(member[0], member[1], world);
  if (!found.ok || siblings.length === 1) return found;
  const note = `${member[1].pod} stands for ${siblings.length} pods of ${member[1].workload.kind} ${wanted}`;
  return ok({ party: { ...found.value.party, note } });
}

function podParty(key: string, row: EndpointRow | RemotePodRow, world: World): Result<Resolved, string> {
  const ip = row.ip4 ?? row.ip6;
  const known =
    world.tables.desired.enforcement.get(key)?.identity ?? (ip === undefined ? undefined : world.identityAt(ip));
  if (known === undefined || world.labelsOf(known).length === 0) {
    return err(`pod "${key}" has no identity yet`);
  }
  // A pod of the node itself (the resolver) is no subject of policy.
  const party: Party = { name: key, kind: 'pod', identity: known, labels: world.labelsOf(known) };
  return ok({ party: ip === undefined ? party : { ...party, address: formatAddress(ip) } });
}

function nearMisses(wanted: string, world: World): string {
  const elsewhere = [...world.tables.inputs.endpoints.entries()].filter(
    ([, row]) => row.pod === wanted || row.workload.name === wanted,
  );
  return elsewhere.length === 0 ? '' : `; there is ${elsewhere.map(([key]) => key).join(', ')}`;
}

function atAddress(ip: Address, world: World, wanted: WantedPort): Party {
  const text = formatAddress(ip);
  const owner = [...world.tables.inputs.endpoints.entries()].find(([, row]) =>
    [row.ip4, row.ip6].some((own) => own !== undefined && formatAddress(own) === text),
  );
  if (owner) {
    const found = podParty(owner[0], owner[1], world);
    if (found.ok) return { ...found.value.party, address: text };
  }
  const frontend = [...world.tables.desired.frontends.values()].find(
    (row) => formatAddress(row.address) === text && row.port === wanted.port && row.protocol === wanted.protocol,
  );
  const found = world.identityAt(ip);
  const party: Party = { name: text, kind: 'outside', identity: found, labels: world.labelsOf(found), address: text };
  const isNode = party.labels.some((label) => /^reserved:(host|remote-node)$/.test(label));
  if (frontend) return { ...party, note: `${text} is service ${frontend.name}: policy sees its pods, ask about those` };
  return isNode ? { ...party, kind: 'node' } : party;
}

function service(text: string, world: World, wanted: WantedPort): Result<Resolved, string> {
  const key = text.includes('/') ? text : `default/${text}`;
  const frontends = [...world.tables.desired.frontends.values()].filter((row) => row.name === key);
  if (frontends.length === 0) return err(`there is no service "${key}" with an address`);
  const fits = (row: FrontendRow): boolean => row.port === wanted.port && row.protocol === wanted.protocol;
  const frontend = frontends.find(fits);
  if (frontend === undefined) {
    const ports = [...new Set(frontends.map((row) => row.port))].join(', ');
    return err(`service "${key}" has no port ${wanted.port} of that protocol; it has ${ports}`);
  }
  const backend = world.tables.desired.backends.get(String(frontend.backends[0]));
  if (backend === undefined) return err(`service "${key}" has no pod that is ready`);
  const party = atAddress(backend.address, world, wanted);
  const note = `${party.name} port ${backend.port} is one of ${frontend.backends.length} behind service ${key}`;
  return ok({ party: { ...party, note }, port: backend.port });
}

// The name's addresses, as DNS has resolved them.
function name(text: string, world: World): Result<Resolved, string> {
  const key = text.toLowerCase().replace(/\.$/, '');
  const [first] = world.tables.inputs.names.get(key)?.addresses ?? [];
  if (first === undefined) return err(`no address of "${key}" is known here`);
  const party = atAddress(first, world, { port: 0, protocol: 0 });
  return ok({ party: { ...party, name: `name:${key}`, note: `${formatAddress(first)} is an address of ${key}` } });
}

/** Addresses for names that have none offline: of no network, so that only names and 0.0.0.0/0 select them. */
export function placeholderAddress(index: number): Address {
  return address(`240.${(index >> 16) & 0xff}.${(index >> 8) & 0xff}.${index & 0xff}`);
}

// For tests: everything that policy can depend on, edited at random: objects, pods here and elsewhere, namespaces, names,
// nodes, groups and services.

import { endpointId, ifindex } from '#common/ids.ts';
import { type Address, addOffset, address } from '#common/ip.ts';
import type { Labels, PolicyKind } from '#mesh-config/model.ts';
import type { Inputs, NamedPort } from '../tables.ts';
import type { Pick } from './random.fixture.ts';
import { CIDRS, HOSTS, meta, movedPolicy, NAMESPACES, one, randomPolicy, some } from './random-policy.fixture.ts';
import { LAYOUT } from './scene.fixture.ts';

const PODS = ['a', 'b', 'c', 'd'];
/** Addresses that the world, nodes and API servers have, and some that lie beside them. */
export const ADDRESSES: readonly Address[] = [
  ...['10.1.1.7', '10.1.1.8', '10.1.2.1', '10.9.9.9', '192.0.2.1', '192.0.2.2'],
  ...['2001:db8::1', '2001:db9::1', '::5'],
].map(address);
const NODE_ADDRESSES = ['10.1.1.8', '172.16.0.1', '172.16.0.2', '2001:db9::1'].map(address);

const NAMED: readonly (readonly NamedPort[])[] = [
  [],
  [{ name: 'http', port: 80, protocol: 'TCP' }],
  [
    { name: 'http', port: 81, protocol: 'TCP' },
    { name: 'admin', port: 90, protocol: 'TCP' },
  ],
  [
    { name: 'http', port: 80, protocol: 'TCP' },
    { name: 'http', port: 81, protocol: 'TCP' },
    { name: 'http', port: 80, protocol: 'UDP' },
  ],
];

function podLabels(pick: Pick): Labels {
  return { x: String(pick(3)), ...(pick(2) === 0 ? { y: String(pick(2)) } : {}) };
}

/** Sets or removes one row of the table, at random. */
function change<Row>(
  table: { set(key: string, row: Row): void; delete(key: string): void },
  pick: Pick,
  { key, row }: { readonly key: string; readonly row: () => Row },
): string {
  if (pick(4) === 0) {
    table.delete(key);
    return `remove ${key}`;
  }
  const made = row();
  table.set(key, made);
  return `set ${key} ${JSON.stringify(made)}`;
}

function editPolicy(inputs: Inputs, pick: Pick): string {
  const name = `p${pick(4)}`;
  const namespace = pick(2) === 0 ? '' : 'default';
  const kind: PolicyKind = namespace === '' ? 'CiliumClusterwideNetworkPolicy' : 'CiliumNetworkPolicy';
  const key = `${kind} ${namespace}/${name}`;
  const known = inputs.policies.get(key);
  const row = () => {
    return known && pick(3) === 0 ? movedPolicy(known) : randomPolicy(pick, { kind, ...meta(namespace, name) });
  };
  return change(inputs.policies, pick, { key, row });
}

/** One random edit of the inputs. Returns what it was. */
export function editWorld(inputs: Inputs, pick: Pick): string {
  const namespace = one(NAMESPACES, pick);
  const number = pick(PODS.length);
  const pod = one(PODS, pick);
  const facts = (n: number) => ({
    namespace,
    labels: podLabels(pick),
    serviceAccount: 'default',
    namedPorts: one(NAMED, pick),
    ip4: addOffset(LAYOUT.addresses.podCidr4.address, n),
    ip6: pick(2) === 0 ? addOffset(LAYOUT.addresses.podCidr6.address, n) : undefined,
  });
  const offset = 16 + PODS.indexOf(pod) + 8 * NAMESPACES.indexOf(namespace);
  switch (pick(14)) {
    case 0:
    case 1:
    case 2: {
      const row = () => ({
        ...facts(offset),
        pod,
        id: endpointId(offset),
        workload: { kind: 'Pod', name: pod },
        device: { ifindex: ifindex(offset), name: '', podMac: '', hostMac: '', netns: '', containerId: '' },
        ready: true,
        init: pick(8) === 0,
      });
      return change(inputs.endpoints, pick, { key: `${namespace}/${pod}`, row });
    }
    case 3: {
      const row = () => ({ ...facts(offset + 64), node: 'n1' });
      return change(inputs.remotePods, pick, { key: `${namespace}/r${pod}`, row });
    }
    case 4: {
      const row = () => ({ kind: 'Namespace' as const, ...meta('', namespace, { env: String(pick(2)) }) });
      return change(inputs.namespaces, pick, { key: namespace, row });
    }
    case 5: {
      const name = one(HOSTS, pick);
      return change(inputs.names, pick, { key: name, row: () => ({ name, addresses: some(ADDRESSES, pick) }) });
    }
    case 6: {
      const name = `n${number % 3}`;
      const row = () => ({
        name,
        labels: { zone: String(pick(2)), x: String(pick(3)) },
        addresses: [NODE_ADDRESSES[number % 3] as Address],
        local: number % 3 === 0,
        apiServer: pick(3) === 0,
      });
      return change(inputs.nodes, pick, { key: name, row });
    }
    case 7: {
      const name = `g${pick(2)}`;
      const kind = 'CiliumCIDRGroup' as const;
      const row = () => ({ kind, ...meta('', name, podLabels(pick)), cidrs: some(CIDRS, pick) });
      return change(inputs.cidrGroups, pick, { key: name, row });
    }
    case 8: {
      const name = `s${pick(2)}`;
      const row = () => ({
        kind: 'Service' as const,
        ...meta(namespace, name, podLabels(pick)),
        selector: pick(2) === 0 ? { x: String(pick(3)) } : undefined,
        clusterIps: 'None' as const,
        ports: [],
      });
      return change(inputs.services, pick, { key: `${namespace}/${name}`, row });
    }
    case 9: {
      const isApi = pick(3) === 0;
      const service = isApi ? 'kubernetes' : `s${pick(2)}`;
      const kind = 'EndpointSlice' as const;
      const addresses = some(isApi ? [...ADDRESSES, ...NODE_ADDRESSES] : ADDRESSES, pick);
      const row = () => ({ kind, ...meta(namespace, `${service}-1`), service, addresses });
      return change(inputs.endpointSlices, pick, { key: `${namespace}/${service}-1`, row });
    }
    default:
      return editPolicy(inputs, pick);
  }
}

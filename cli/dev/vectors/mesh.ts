// A case as a node would have it: its objects, workloads and world in the inputs, and what compute makes of them.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCompute } from '#agent/compute/compute.ts';
import { DEFAULT_SETTINGS } from '#agent/compute/settings.ts';
import { nodeLayout } from '#agent/layout.ts';
import { createTables, type EndpointRow, type Tables } from '#agent/tables.ts';
import { endpointId, type Identity, ifindex, RESERVED } from '#common/ids.ts';
import { type Address, address, type Cidr, familyOf, formatAddress, parseCidr } from '#common/ip.ts';
import { err, ok, type Result } from '#common/result.ts';
import { objectKey, type PolicyObject } from '#mesh-config/model.ts';
import { readObjects } from '#mesh-config/read.ts';
import type { CaseEndpoint, FlowsCase } from './format.ts';

/** One end of a flow. */
export type End =
  | { readonly kind: 'endpoint'; readonly key: string; readonly identity: Identity; readonly row: EndpointRow }
  | { readonly kind: 'address'; readonly address: Address }
  /** A peer that has only the labels of a reserved identity, and no address that is known. */
  | { readonly kind: 'entity'; readonly name: string; readonly identity: Identity };

export interface Mesh {
  readonly tables: Tables;
  /** Who "namespace/name", an address or "entity:host" is. Throws if nobody is. */
  endOf(text: string): End;
}

const ENTITIES: Readonly<Record<string, Identity>> = {
  host: RESERVED.host,
  'remote-node': RESERVED.remoteNode,
  'kube-apiserver': RESERVED.kubeApiserver,
  health: RESERVED.health,
  unmanaged: RESERVED.unmanaged,
  ingress: RESERVED.ingress,
  init: RESERVED.init,
  'world-ipv4': RESERVED.worldIpv4,
  'world-ipv6': RESERVED.worldIpv6,
};

/** Interface of a case's first endpoint; the others follow. No packet runs over them. */
const FIRST_IFINDEX = 1000;

/** Builds the inputs and lets compute run once. Throws what keeps the case from being decided as a whole. */
export function buildMesh(vector: FlowsCase): Mesh {
  const tables = createTables();
  fillInputs(tables.inputs, vector);
  runCompute(tables, vector.mode);
  const owners = new Map<string, string>();
  for (const [key, row] of tables.inputs.endpoints.entries()) {
    for (const ip of [row.ip4, row.ip6]) if (ip) owners.set(formatAddress(ip), key);
  }
  const endpointAt = (key: string): End | undefined => {
    const row = tables.inputs.endpoints.get(key);
    const identity = tables.desired.endpoints.get(key)?.identity;
    return row && identity !== undefined ? { kind: 'endpoint', key, identity, row } : undefined;
  };
  return {
    tables,
    endOf(text) {
      if (text.startsWith('entity:')) {
        const name = text.slice('entity:'.length);
        const identity = ENTITIES[name];
        if (identity === undefined) throw new Error(`Cannot find "${text}": no such entity is known`);
        return { kind: 'entity', name, identity };
      }
      const found = endpointAt(text.includes('/') ? text : (owners.get(formatAddress(address(text))) ?? ''));
      if (found) return found;
      if (text.includes('/')) throw new Error(`Cannot find "${text}": the case has no such endpoint`);
      return { kind: 'address', address: address(text) };
    },
  };
}

function fillInputs(inputs: Tables['inputs'], { endpoints, policies, world }: FlowsCase): void {
  const read = readPolicies(policies);
  if (!read.ok) throw new Error(`Cannot use the policies: ${read.error}`);
  for (const [key, row] of read.value) inputs.policies.set(key, row);
  for (const { namespace, namespaceLabels } of endpoints) {
    const meta = { namespace: '', name: namespace, labels: namespaceLabels, annotations: {}, origin: NOWHERE };
    inputs.namespaces.set(namespace, { kind: 'Namespace', ...meta });
  }
  for (const [i, endpoint] of endpoints.entries()) {
    inputs.endpoints.set(`${endpoint.namespace}/${endpoint.name}`, endpointOf(endpoint, i));
  }
  for (const [name, cidrs] of Object.entries(world.cidrGroups)) {
    const meta = { namespace: '', name, labels: {}, annotations: {}, origin: NOWHERE };
    inputs.cidrGroups.set(name, { kind: 'CiliumCIDRGroup', ...meta, cidrs: cidrs.map(prefixOf) });
  }
  for (const { name, ips, local, kubeApiserver } of world.nodes) {
    inputs.nodes.set(name, { name, labels: {}, addresses: ips.map(address), local, apiServer: kubeApiserver });
  }
  if (world.kubeApiserver.length > 0) {
    // API servers that are no nodes are known by what stands behind the Service that everybody asks them by.
    const meta = { namespace: 'default', name: 'kubernetes', labels: {}, annotations: {}, origin: NOWHERE };
    const addresses = world.kubeApiserver.map(address);
    inputs.endpointSlices.set('default/kubernetes', {
      kind: 'EndpointSlice',
      ...meta,
      service: 'kubernetes',
      addresses,
    });
  }
  for (const [written, ips] of Object.entries(world.fqdn)) {
    const name = written.toLowerCase().replace(/\.$/, '');
    const before = inputs.names.get(name)?.addresses ?? [];
    inputs.names.set(name, { name, addresses: [...before, ...ips.map(address)] });
  }
}

const NOWHERE = { file: 'case.json', line: 1 } as const;

/** Reads policies as users write them: by objectKey, or why some are refused. */
export function readPolicies(written: FlowsCase['policies']): Result<ReadonlyMap<string, PolicyObject>, string> {
  const text = written.map((object) => JSON.stringify(object)).join('\n---\n');
  const { objects, problems } = readObjects(NOWHERE.file, text);
  const reasons = problems.flatMap(({ object = '', field, reason, warning }) =>
    warning ? [] : [`${object} ${field}: ${reason}`],
  );
  if (reasons.length > 0) return err(reasons.join('; '));
  const policies = objects.filter((object) => 'rules' in object);
  if (policies.length !== written.length) return err('not every object is a policy');
  return ok(new Map(policies.map((policy) => [objectKey(policy), policy])));
}

function endpointOf(endpoint: CaseEndpoint, index: number): EndpointRow {
  const addresses = endpoint.ips.map(address);
  return {
    namespace: endpoint.namespace,
    pod: endpoint.name,
    id: endpointId(index + 1),
    ip4: addresses.find((ip) => familyOf(ip) === 4),
    ip6: addresses.find((ip) => familyOf(ip) === 6),
    labels: endpoint.labels,
    workload: { kind: 'Pod', name: endpoint.name },
    serviceAccount: endpoint.serviceAccount,
    // Only an endpoint with an interface has a policy.
    device: {
      ifindex: ifindex(FIRST_IFINDEX + index),
      name: `vector${index}`,
      podMac: '02:00:00:00:00:01',
      hostMac: '02:00:00:00:00:02',
      netns: '',
      containerId: '',
    },
    ready: true,
    namedPorts: endpoint.namedPorts,
    init: endpoint.init,
  };
}

function prefixOf(text: string): Cidr {
  const parsed = parseCidr(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}

function runCompute(tables: Tables, mode: FlowsCase['mode']): void {
  // Compute remembers its numbers in a file; these are worth nothing afterwards.
  const folder = mkdtempSync(join(tmpdir(), 'weir-vectors-'));
  try {
    const compute = createCompute(tables, {
      layout: nodeLayout('vectors', '/none'),
      statePath: join(folder, 'numbers.json'),
      settings: { ...DEFAULT_SETTINGS, enforcement: mode },
    });
    compute.step();
    const problems = compute.problems();
    compute.close();
    if (problems.length > 0) throw new Error(problems.map(({ object, reason }) => `${object}: ${reason}`).join('; '));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// Objects -> what a node that had them would decide, without a node: pods get addresses from nowhere, and the same
// compute makes the rows.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endpointId, ifindex } from '#common/ids.ts';
import { addOffset } from '#common/ip.ts';
import type { MeshObject } from '#mesh-config/model.ts';
import { createCompute } from '../compute/compute.ts';
import { DEFAULT_SETTINGS, type EnforcementMode } from '../compute/settings.ts';
import { nodeLayout } from '../layout.ts';
import { RESOLVER_KEY, resolverEndpoint } from '../resolver-endpoint.ts';
import { runDeployments } from '../runtime/deployments.ts';
import { writeTables } from '../sources/write.ts';
import { createTables, type EndpointRow, type PodRow } from '../tables.ts';
import { placeholderAddress } from './party.ts';
import { createWorld, type World } from './world.ts';

/** Endpoint ids have 16 bits, and the last is the resolver's. */
const MAX_PODS = 65_000;
/** Offset of the first pod in the pod prefixes: below are the node's own addresses. */
const FIRST_OFFSET = 16;

export interface OfflineOptions {
  /** Names that shall have an address though no object says so. */
  readonly names?: readonly string[];
  /** The Node object that stands for this node; the other ones are remote. Without it this node has no labels. */
  readonly node?: string;
  readonly enforcement?: EnforcementMode;
}

/** The world of one node with all `objects` in force and all pods running. Throws what compute does not take. */
export function offlineWorld(objects: readonly MeshObject[], options: OfflineOptions = {}): World {
  const tables = createTables();
  const { inputs } = tables;
  const file = { stamp: '', objects, read: objects, problems: [], emptySince: undefined };
  writeTables(new Map([['', file]]), tables, '');
  runDeployments(inputs)();
  if (inputs.pods.size > MAX_PODS) {
    throw new Error(`Cannot compute policy offline: ${inputs.pods.size} pods, at most ${MAX_PODS}`);
  }
  const layout = nodeLayout('offline', '/none');
  const local = options.node ?? 'node0';
  inputs.nodes.set(local, { name: local, labels: {}, addresses: [], local: true, apiServer: false });
  for (const object of objects) {
    if (object.kind !== 'Node') continue;
    const { name, labels, addresses } = object;
    inputs.nodes.set(name, { name, labels, addresses, local: name === local, apiServer: false });
  }
  inputs.endpoints.set(RESOLVER_KEY, resolverEndpoint(layout.addresses));
  let number = 0;
  for (const [key, row] of inputs.pods.entries()) {
    number++;
    inputs.endpoints.set(key, endpointOf(row, number, layout.addresses));
  }
  (options.names ?? []).forEach((name, index) => {
    if (inputs.names.get(name)) return;
    inputs.names.set(name, { name, addresses: [placeholderAddress(index + 1)] });
  });
  // Compute remembers its numbers in a file; these are worth nothing afterwards.
  const folder = mkdtempSync(join(tmpdir(), 'weir-policy-'));
  try {
    const settings = { ...DEFAULT_SETTINGS, enforcement: options.enforcement ?? DEFAULT_SETTINGS.enforcement };
    const compute = createCompute(tables, { layout, statePath: join(folder, 'numbers.json'), settings });
    compute.step();
    compute.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return createWorld(tables);
}

function endpointOf(
  { object, workload }: PodRow,
  number: number,
  { podCidr4, podCidr6 }: ReturnType<typeof nodeLayout>['addresses'],
): EndpointRow {
  const { namespace, name, labels, audit, spec } = object;
  return {
    namespace,
    pod: name,
    id: endpointId(number),
    ip4: addOffset(podCidr4.address, FIRST_OFFSET + number),
    ip6: addOffset(podCidr6.address, FIRST_OFFSET + number),
    labels,
    workload,
    serviceAccount: spec.serviceAccount,
    // Only an endpoint with an interface is a subject of policy.
    device: {
      ifindex: ifindex(number),
      name: `offline${number}`,
      podMac: '02:00:00:00:00:01',
      hostMac: '02:00:00:00:00:02',
      netns: '',
      containerId: '',
    },
    ready: true,
    audit,
    namedPorts: spec.containers.flatMap(({ ports }) => ports.filter((port) => port.name !== '')),
  };
}

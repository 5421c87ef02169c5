// For tests: a node's tables fed from YAML, with an endpoint for every Pod, and compute over them.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endpointId, ifindex } from '#common/ids.ts';
import { addOffset, address } from '#common/ip.ts';
import { objectKey, type PodObject } from '#mesh-config/model.ts';
import { readObjects } from '#mesh-config/read.ts';
import { type Answer, lookup } from '../explain/lookup.ts';
import { nodeLayout } from '../layout.ts';
import type { Question } from '../policy/entry-index.ts';
import { IP_PROTOCOL, type L4 } from '../policy/l4.ts';
import { createTables, type Desired, type EndpointRow, type Tables } from '../tables.ts';
import { type Compute, type ComputeOptions, createCompute } from './compute.ts';

export const LAYOUT = nodeLayout('test', '/none');

export interface Scene extends Disposable {
  readonly tables: Tables;
  readonly compute: Compute;
  readonly statePath: string;
  /** Adds or replaces the objects of a YAML text; throws its problems. Pods become ready endpoints. */
  put(yaml: string): void;
  remove(kind: 'pod' | 'namespace' | 'service' | 'policy', key: string): void;
  /** Compute of a new agent over new tables with the same inputs and the same state. */
  restart(): Scene;
}

export interface SceneOptions extends Omit<Partial<ComputeOptions>, 'layout' | 'statePath'> {
  /** Where numbers are remembered; absent: nowhere that lasts. */
  readonly directory?: string;
  readonly inputs?: Tables['inputs'];
}

/** An empty node, or one with `inputs` taken over. */
export function createScene({ directory, inputs, ...options }: SceneOptions = {}): Scene {
  const tables = createTables();
  for (const [name, table] of Object.entries(inputs ?? {})) {
    const target = tables.inputs[name as keyof Tables['inputs']];
    for (const [key, row] of table.entries()) target.set(key, row as never);
  }
  const folder = directory ?? mkdtempSync(join(tmpdir(), 'weir-compute-'));
  const statePath = join(folder, 'compute.json');
  const compute = createCompute(tables, { layout: LAYOUT, statePath, ...options });
  const numbers = new Map<string, number>();
  return {
    tables,
    compute,
    statePath,
    put(yaml) {
      const { objects, problems } = readObjects('test.yaml', yaml);
      const refused = problems.filter((p) => !p.warning);
      if (refused.length > 0) throw new Error(JSON.stringify(refused));
      for (const object of objects) {
        const key = `${object.namespace}/${object.name}`;
        if (object.kind === 'Pod') {
          const number = numbers.get(key) ?? numbers.size + 10;
          numbers.set(key, number);
          tables.inputs.endpoints.set(key, endpointOf(object, number));
        } else if (object.kind === 'Namespace') tables.inputs.namespaces.set(object.name, object);
        else if (object.kind === 'Service') tables.inputs.services.set(key, object);
        else if (object.kind === 'CiliumCIDRGroup') tables.inputs.cidrGroups.set(object.name, object);
        else if (object.kind === 'EndpointSlice') tables.inputs.endpointSlices.set(key, object);
        else if ('rules' in object) tables.inputs.policies.set(objectKey(object), object);
      }
    },
    remove(kind, key) {
      const { endpoints, namespaces, services, policies } = tables.inputs;
      ({ pod: endpoints, namespace: namespaces, service: services, policy: policies })[kind].delete(key);
    },
    restart() {
      compute.close();
      return createScene({ ...options, directory: folder, inputs: tables.inputs });
    },
    [Symbol.dispose]() {
      compute.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The endpoint of a pod, at the addresses number `n` of the pod ranges. */
export function endpointOf(pod: PodObject, n: number): EndpointRow {
  return {
    namespace: pod.namespace,
    pod: pod.name,
    id: endpointId(n),
    ip4: addOffset(LAYOUT.addresses.podCidr4.address, n),
    ip6: addOffset(LAYOUT.addresses.podCidr6.address, n),
    labels: pod.labels,
    workload: { kind: 'Pod', name: pod.name },
    serviceAccount: pod.spec.serviceAccount,
    device: {
      ifindex: ifindex(n + 100),
      name: `lxc${n}`,
      podMac: `02:00:00:00:00:${(n % 256).toString(16).padStart(2, '0')}`,
      hostMac: '02:00:00:00:01:00',
      netns: '/run/netns/none',
      containerId: `${pod.name}-${n}`,
    },
    ready: true,
    namedPorts: pod.spec.containers.flatMap((c) => c.ports.filter((p) => p.name !== '')),
  };
}

/** The resolver: an address of the node that acts as a workload. */
export function resolverEndpoint(): EndpointRow {
  return {
    namespace: 'kube-system',
    pod: 'resolver',
    id: endpointId(1),
    ip4: address('10.244.0.2'),
    ip6: address('fd00:10:244::2'),
    labels: { 'k8s-app': 'kube-dns' },
    workload: { kind: 'Node', name: 'resolver' },
    serviceAccount: 'default',
    device: undefined,
    ready: true,
    namedPorts: [],
  };
}

/** What the rows say of one packet. */
export function verdictOf(
  desired: Desired,
  flow: Question,
): { readonly action: Answer['verdict']; readonly ruleset: number; readonly policies: readonly string[] } {
  const answer = lookup(desired, flow);
  const { verdict = 'deny', entry, policies = [] } = answer ?? {};
  return { action: verdict, ruleset: verdict === 'redirect' ? (entry?.ruleset ?? 0) : 0, policies };
}

/** A TCP packet to `port`. */
export function tcp(port: number): L4 {
  return { protocol: IP_PROTOCOL.TCP, port, bits: 24 };
}

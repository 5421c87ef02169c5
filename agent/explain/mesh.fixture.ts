// For tests: a small mesh and policies for it, as the offline commands see them.

import { type OfflineOptions, offlineWorld } from './offline.ts';
import { readAll } from './read.ts';
import type { World } from './world.ts';

const pod = (name: string, labels: Record<string, string>, more: { namespace?: string; ports?: string } = {}): string =>
  `apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: ${more.namespace ?? 'default'}, labels: ${JSON.stringify(labels)} }
spec: { containers: [{ name: main, image: none, command: [sleep], ports: [${more.ports ?? ''}] }] }
`;

/** web, api and db of namespace default, each with its label app; a pod of another namespace; a Deployment of two. */
export const PODS = [
  pod('web', { app: 'web' }),
  pod('api', { app: 'api', tier: 'back' }, { ports: '{ name: http, containerPort: 8080 }' }),
  pod('db', { app: 'db', tier: 'back' }),
  pod('probe', { app: 'probe' }, { namespace: 'other' }),
  `apiVersion: apps/v1
kind: Deployment
metadata: { name: shop, namespace: default }
spec:
  replicas: 2
  selector: { matchLabels: { app: shop } }
  template:
    metadata: { labels: { app: shop } }
    spec: { containers: [{ name: main, image: none, command: [sleep] }] }
`,
  `apiVersion: v1
kind: Service
metadata: { name: api, namespace: default }
spec: { selector: { app: api }, ports: [{ port: 80, targetPort: http }] }
`,
].join('---\n');

/** A CiliumNetworkPolicy of namespace default for the pods with label app. */
export function policy(name: string, app: string, spec: string): string {
  return `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: ${name}, namespace: default }
spec:
  endpointSelector: { matchLabels: { app: ${app} } }
  ${spec.replaceAll('\n', '\n  ')}
`;
}

/** The world of the pods and of `policies`. Throws if one of them is refused. */
export function worldOf(policies: readonly string[], options: OfflineOptions = {}): World {
  const texts = [PODS, ...policies].map((text, index) => ({
    file: index === 0 ? 'pods.yaml' : `p${index}.yaml`,
    text,
  }));
  const { objects, problems } = readAll(texts);
  const refused = problems.filter((problem) => !problem.warning);
  if (refused.length > 0) throw new Error(JSON.stringify(refused));
  return offlineWorld(objects, options);
}

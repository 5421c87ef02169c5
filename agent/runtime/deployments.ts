// Deployments -> pods. A changed template has other pod names, so its old pods go and its new ones come.

import type { DeploymentObject } from '#mesh-config/model.ts';
import type { Inputs, PodRow } from '../tables.ts';
import { podName } from './names.ts';

/**
 * Keeps tables.pods in step with tables.deployments from now on. Returns the function that ends it. A pod that somebody
 * wrote under the same name is left alone.
 */
export function runDeployments(tables: Pick<Inputs, 'deployments' | 'pods'>): () => void {
  for (const deployment of tables.deployments.values()) apply(tables.pods, undefined, deployment);
  return tables.deployments.subscribe(({ before, after }) => apply(tables.pods, before, after));
}

function apply(pods: Inputs['pods'], before: DeploymentObject | undefined, after: DeploymentObject | undefined): void {
  const wanted = new Map(after ? podsOf(after) : []);
  const old = before ? podsOf(before).map(([key]) => key) : [];
  const owner = before ?? after;
  for (const key of old) {
    if (!wanted.has(key) && owner && isOwn(pods.get(key), owner)) pods.delete(key);
  }
  for (const [key, row] of wanted) {
    const present = pods.get(key);
    if (present === undefined || (owner && isOwn(present, owner) && before !== after)) pods.set(key, row);
  }
}

function podsOf(deployment: DeploymentObject): [string, PodRow][] {
  const { namespace, name, origin, replicas, template } = deployment;
  return Array.from({ length: replicas }, (_, index) => {
    const pod = podName(deployment, index);
    const { labels, annotations, audit, spec } = template;
    return [
      `${namespace}/${pod}`,
      {
        object: { kind: 'Pod', namespace, name: pod, labels, annotations, origin, audit, spec },
        workload: { kind: 'Deployment', name },
      },
    ];
  });
}

function isOwn(row: PodRow | undefined, deployment: DeploymentObject): boolean {
  return row?.workload.kind === 'Deployment' && row.workload.name === deployment.name;
}

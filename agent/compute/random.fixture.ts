// For tests: random objects and edits, from a seed, so that a failure can be repeated.

import type { DirectionRule, PolicyObject } from '#mesh-config/model.ts';
import type { Scene } from './scene.fixture.ts';

/** A number from 0 to below `below`. */
export type Pick = (below: number) => number;

/** Seeded numbers (mulberry32). */
export function random(seed: number): Pick {
  let a = seed;
  return (below) => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  };
}

const one = <T>(list: readonly T[], pick: Pick): T => list[pick(list.length)] as T;
const SUBJECTS = [
  '{}',
  '{ matchLabels: { x: "0" } }',
  '{ matchLabels: { x: "1" } }',
  '{ matchLabels: { y: "1" } }',
  '{ matchExpressions: [{ key: x, operator: NotIn, values: ["0", "2"] }] }',
];
const PEERS = [
  ...SUBJECTS,
  '{ matchLabels: { "k8s:io.kubernetes.pod.namespace": kube-system } }',
  '{ matchLabels: { "io.cilium.k8s.namespace.labels.env": "0" } }',
  '{ matchExpressions: [{ key: y, operator: Exists }, { key: x, operator: In, values: ["0", "1"] }] }',
];
const toPorts = (port: string, rules = ''): string => `toPorts: [{ ports: [{ ${port}, protocol: TCP }]${rules} }]`;
const http = (method: string): string => `, rules: { http: [{ method: ${method} }] }`;
const PORTS = [
  '',
  toPorts('port: "80"'),
  toPorts('port: "80"', http('GET')),
  toPorts('port: "80"', http('POST')),
  toPorts('port: "0"'),
  toPorts('port: "80", endPort: 95'),
];
/** Ranges of L7 rules, whose rulesets overlap. */
export const L7_RANGES = [
  toPorts('port: "80", endPort: 90', http('GET')),
  toPorts('port: "64", endPort: 95', http('POST')),
];

/** YAML of a policy in the default namespace. */
export function randomPolicy(name: string, pick: Pick, ports: readonly string[] = PORTS): string {
  const item = (peers: string): string => {
    const parts = [pick(3) > 0 ? `${peers}: [${one(PEERS, pick)}]` : '', one(ports, pick)];
    return `{ ${parts.filter((part) => part !== '').join(', ')} }`;
  };
  const list = (peers: string): string => `[${Array.from({ length: 1 + pick(2) }, () => item(peers)).join(', ')}]`;
  const directions = pick(3);
  return `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: ${name} }
spec:
  endpointSelector: ${one(SUBJECTS, pick)}
  ${pick(4) === 0 ? 'enableDefaultDeny: { ingress: false, egress: false }' : ''}
  ${directions !== 1 ? `ingress: ${list('fromEndpoints')}` : ''}
  ${directions !== 0 ? `egress: ${list('toEndpoints')}` : ''}
`;
}

/** Some items of the policy become deny rules. */
function denySome(scene: Scene, name: string, pick: Pick): string {
  const table = scene.tables.inputs.policies;
  const key = policyKey(name);
  const policy = table.get(key) as PolicyObject;
  const deny = (items: readonly DirectionRule[] | undefined): readonly DirectionRule[] | undefined =>
    items?.map((item) => ({ ...item, deny: pick(5) === 0 }));
  const rules = policy.rules.map((r) => ({ ...r, ingress: deny(r.ingress), egress: deny(r.egress) }));
  table.set(key, { ...policy, rules });
  return `deny: ${JSON.stringify(rules.map((r) => [r.ingress?.map((i) => i.deny), r.egress?.map((i) => i.deny)]))}`;
}

/** Key of a policy in the default namespace. */
export function policyKey(name: string): string {
  return `CiliumNetworkPolicy default/${name}`;
}

/** A pod in the default namespace. */
export function podYaml(name: string, labels: Readonly<Record<string, string>>): string {
  return `{ apiVersion: v1, kind: Pod, metadata: { name: ${name}, labels: ${JSON.stringify(labels)} }, spec: { containers: [{ name: c, image: i, command: [c] }] } }`;
}

/** One to three random edits of a scene's inputs. Returns what they were. */
export function edit(
  scene: Scene,
  pick: Pick,
  options: { readonly pods: readonly string[]; readonly policies: number; readonly ports?: readonly string[] },
): string {
  const done: string[] = [];
  for (let n = 1 + pick(3); n > 0; n--) {
    const name = `p${pick(options.policies)}`;
    const pod = one(options.pods, pick);
    switch (pick(8)) {
      case 0:
        scene.remove('policy', policyKey(name));
        done.push(`remove policy ${name}`);
        break;
      case 1:
        if (pick(3) > 0) break;
        scene.remove('pod', `default/${pod}`);
        done.push(`remove pod ${pod}`);
        break;
      case 2:
      case 3:
        done.push(podYaml(pod, { x: String(pick(3)), y: String(pick(2)) }));
        scene.put(done.at(-1) ?? '');
        break;
      case 4:
        done.push(
          `{ apiVersion: v1, kind: Namespace, metadata: { name: ${one(['kube-system', 'kube-system', 'default'], pick)}, labels: { env: "${pick(2)}" } } }`,
        );
        scene.put(done.at(-1) ?? '');
        break;
      default:
        done.push(randomPolicy(name, pick, options.ports ?? PORTS));
        scene.put(done.at(-1) ?? '');
        done.push(denySome(scene, name, pick));
    }
  }
  return done.join('\n');
}

/** Ports of policies, L7 ranges included. */
export const ALL_PORTS: readonly string[] = [...PORTS, ...L7_RANGES];

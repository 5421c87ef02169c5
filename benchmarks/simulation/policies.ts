// A thousand policies of the kinds that people write, as objects for YAML: ten for each of 99 namespaces, ten for the
// cluster. The same in every run.

import { stringify } from 'yaml';
import { clusterPolicies, DNS, EVERYBODY, NAMESPACE, type Variant } from './cluster-policies.ts';
import { NAMESPACES, namespaceName, partnerName, teamOf, WORKLOADS_EACH } from './world.ts';

const POLICY_NAMESPACES = 99;

/** One file for each namespace, which has the namespace too, and one for the cluster. */
export function policyFiles(variant: Variant): readonly { readonly name: string; readonly text: string }[] {
  const files = Array.from({ length: NAMESPACES }, (_, index) => ({
    name: `${namespaceName(index)}.yaml`,
    objects: [namespaceObject(index), ...namespacePolicies(index, variant)],
  }));
  files.push({ name: 'cluster.yaml', objects: [...clusterPolicies(variant)] });
  return files.map(({ name, objects }) => ({ name, text: objects.map((object) => stringify(object)).join('---\n') }));
}

function namespaceObject(index: number): object {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespaceName(index), labels: { team: teamOf(index) } },
  };
}

/** The ten policies of namespace number `index`; none for the last namespace. */
function namespacePolicies(index: number, variant: Variant): readonly object[] {
  if (index >= POLICY_NAMESPACES) return [];
  const specs = [...plainSpecs(index, variant), ...ciliumSpecs(index, variant)];
  return specs.map(({ name, kind, spec }) => ({
    apiVersion: kind === 'NetworkPolicy' ? 'networking.k8s.io/v1' : 'cilium.io/v2',
    kind,
    metadata: { name, namespace: namespaceName(index) },
    spec,
  }));
}

interface Named {
  readonly name: string;
  readonly kind: 'NetworkPolicy' | 'CiliumNetworkPolicy';
  readonly spec: object;
}

const NAMESPACE_TEAM = 'k8s:io.cilium.k8s.namespace.labels.team';

function plainSpecs(index: number, variant: Variant): readonly Named[] {
  const kind = 'NetworkPolicy';
  const tcp = (port: number | string) => ({ protocol: 'TCP', port });
  return [
    {
      name: 'isolate',
      kind,
      spec: {
        podSelector: {},
        policyTypes: ['Ingress'],
        ingress: [{ from: [{ podSelector: {} }], ...(variant === 1 ? { ports: [tcp('http'), tcp(8443)] } : {}) }],
      },
    },
    {
      name: 'store',
      kind,
      spec: {
        podSelector: { matchLabels: { tier: 'store' } },
        ingress: [{ from: [{ podSelector: { matchLabels: { tier: 'middle' } } }], ports: [tcp(5432 + variant)] }],
      },
    },
    {
      name: 'scrape',
      kind,
      spec: {
        podSelector: { matchExpressions: [{ key: 'tier', operator: 'In', values: ['middle', 'front'] }] },
        ingress: [
          {
            from: [
              {
                namespaceSelector: { matchLabels: { team: teamOf(index + 1) } },
                podSelector: { matchLabels: { tier: 'front' } },
              },
            ],
            ports: [tcp(9090 + variant)],
          },
        ],
      },
    },
  ];
}

function ciliumSpecs(index: number, variant: Variant): readonly Named[] {
  const tier = (name: string) => ({ matchLabels: { tier: name } });
  const tcp = (...ports: readonly (number | string)[]) => [
    { ports: ports.map((p) => ({ port: `${p}`, protocol: 'TCP' })) },
  ];
  const app = `app-${(index * 7) % WORKLOADS_EACH}`;
  const callers = [1, 2, 3].map((step) => ({
    matchLabels: { [NAMESPACE]: namespaceName(index + step), 'app.kubernetes.io/name': `app-${step * 3}` },
  }));
  const http = [
    { method: 'GET', path: '/api/v[0-9]+/.*' },
    { method: 'POST', path: `/api/v${variant + 1}/orders` },
  ];
  const specs: Record<string, object> = {
    public: {
      endpointSelector: tier('front'),
      ingress: [{ fromEntities: ['world', 'ingress'], toPorts: tcp(80, 443 + variant) }],
    },
    api: {
      endpointSelector: tier('middle'),
      ingress: [
        { fromEndpoints: [tier('front')], toPorts: [{ ports: [{ port: '8080', protocol: 'TCP' }], rules: { http } }] },
      ],
    },
    calls: {
      endpointSelector: tier('front'),
      egress: [
        {
          toEndpoints: [{ matchLabels: { [NAMESPACE]: namespaceName(index + 1), tier: 'middle' } }],
          toPorts: tcp('http', 9443 + variant),
        },
        { toEndpoints: [EVERYBODY] },
        DNS,
      ],
    },
    partners: {
      endpointSelector: tier('middle'),
      egress: [
        {
          toFQDNs: [{ matchName: partnerName(index) }, { matchPattern: `*.partner-${(index + 1) % 10}.example` }],
          toPorts: tcp(443 + variant),
        },
        { toEndpoints: [EVERYBODY] },
        DNS,
      ],
    },
    outside: {
      endpointSelector: tier('store'),
      egress: [
        {
          toCIDRSet: [
            { cidr: `198.${18 + (index % 2)}.${index}.0/24`, except: [`198.${18 + (index % 2)}.${index}.128/25`] },
          ],
          toPorts: tcp(443, 8443 + variant),
        },
        { toEndpoints: [EVERYBODY] },
      ],
    },
    quarantine: {
      endpointSelector: EVERYBODY,
      ingressDeny: [
        {
          fromEndpoints: [{ matchLabels: { [NAMESPACE_TEAM]: teamOf(index + 1), quarantine: 'true' } }],
          ...(variant === 1 ? { toPorts: tcp(22) } : {}),
        },
      ],
    },
    range: {
      endpointSelector: { matchLabels: { 'app.kubernetes.io/name': app } },
      ingress: [
        {
          fromEndpoints: callers,
          toPorts: [{ ports: [{ port: '30000', endPort: 30_100 + variant, protocol: 'TCP' }] }],
        },
      ],
    },
  };
  return Object.entries(specs).map(([name, spec]): Named => ({ name, kind: 'CiliumNetworkPolicy', spec }));
}

// The policies of the Weir peer.

export interface HttpRule {
  readonly method?: string;
  readonly path: string;
}

/** Ingress from the client to some ports of `app`; with HTTP rules unless `http` is undefined. */
export function policy(app: string, ports: number | readonly number[], http: readonly HttpRule[] | undefined): object {
  const list = [ports].flat().map((port) => ({ port: `${port}`, protocol: 'TCP' }));
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name: `${app}-${list[0]?.port}` },
    spec: {
      endpointSelector: { matchLabels: { app } },
      ingress: [
        {
          fromEndpoints: [{ matchLabels: { app: 'client' } }],
          toPorts: [{ ports: list, ...(http === undefined ? {} : { rules: { http } }) }],
        },
      ],
    },
  };
}

/** Ingress from the client to a port of `app`, whatever the protocol. */
export function openPorts(app: string, port: number): object {
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name: `${app}-any-${port}` },
    spec: {
      endpointSelector: { matchLabels: { app } },
      ingress: [
        {
          fromEndpoints: [{ matchLabels: { app: 'client' } }],
          toPorts: [{ ports: [{ port: `${port}`, endPort: port + 1, protocol: 'ANY' }] }],
        },
      ],
    },
  };
}

/** The first prefix of manyEntries(): shared address space, which nobody here uses. */
export const PREFIX_BASE = '100.64.0.0';
const MAX_PORTS_EACH = 40;

/** Ingress from `prefixes` prefixes to `ports` ports of `app`, no two of them neighbours: an entry for each pair. */
export function manyEntries(
  app: string,
  { prefixes, ports }: { readonly prefixes: number; readonly ports: number },
): object {
  const numbers = Array.from({ length: ports }, (_, index) => ({ port: `${20_001 + 2 * index}`, protocol: 'TCP' }));
  const toPorts = Array.from({ length: Math.ceil(ports / MAX_PORTS_EACH) }, (_, part) => ({
    ports: numbers.slice(part * MAX_PORTS_EACH, (part + 1) * MAX_PORTS_EACH),
  }));
  const fromCIDR = Array.from({ length: prefixes }, (_, index) => `100.${64 + (index >> 8)}.${index & 255}.0/24`);
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name: `${app}-many` },
    // One rule for each: a list of prefixes would be one set of peers, and one entry for each port.
    spec: {
      endpointSelector: { matchLabels: { app } },
      ingress: fromCIDR.map((cidr) => ({ fromCIDR: [cidr], toPorts })),
    },
  };
}

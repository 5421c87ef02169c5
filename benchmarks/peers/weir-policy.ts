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

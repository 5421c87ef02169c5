// Where the API servers are: nodes that are marked as such, and the addresses behind the Service of the API. Those that
// no node has belong to the world, and are labelled there.

import type { Address } from '#common/ip.ts';
import { SOURCE } from '../policy/world.ts';
import type { Inputs, NodeRow } from '../tables.ts';
import { hostCidr } from './addresses.ts';
import type { Prefixes } from './prefixes.ts';

export interface ApiServers {
  /** Reads the inputs anew. */
  refresh(): void;
  isServer(node: NodeRow): boolean;
}

export const API_LABEL = `${SOURCE.reserved}:kube-apiserver`;
/** The Service whose EndpointSlices name the API servers. */
const API_SERVICE = { namespace: 'default', service: 'kubernetes' } as const;

/** API servers of `inputs`, none before the first `refresh`. */
export function createApiServers(
  inputs: Pick<Inputs, 'nodes' | 'endpointSlices'>,
  prefixes: Pick<Prefixes, 'mark' | 'unmark'>,
): ApiServers {
  let servers: ReadonlySet<Address> = new Set();
  let outside: ReadonlySet<Address> = new Set();
  return {
    refresh() {
      const addresses = [...inputs.endpointSlices.values()].filter(isApiSlice).flatMap((slice) => slice.addresses);
      servers = new Set(addresses);
      const ofNodes = new Set([...inputs.nodes.values()].flatMap((row) => row.addresses));
      const next = servers.difference(ofNodes);
      for (const ip of next.difference(outside)) prefixes.mark(hostCidr(ip), API_LABEL);
      for (const ip of outside.difference(next)) prefixes.unmark(hostCidr(ip), API_LABEL);
      outside = next;
    },
    isServer: (node) => node.apiServer || node.addresses.some((ip) => servers.has(ip)),
  };
}

/** Whether an EndpointSlice names API servers. */
export function isApiSlice(slice: { readonly namespace: string; readonly service: string }): boolean {
  return slice.namespace === API_SERVICE.namespace && slice.service === API_SERVICE.service;
}

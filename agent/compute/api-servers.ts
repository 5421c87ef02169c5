// Where the API servers are: nodes that are marked as such, and the addresses behind the Service of the API. Those that
// no node has belong to the world, and are labelled there.

import { type Address, addressKey } from '#common/ip.ts';
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
  let servers: ReadonlySet<string> = new Set();
  let outside: ReadonlyMap<string, Address> = new Map();
  return {
    refresh() {
      const addresses = [...inputs.endpointSlices.values()].filter(isApiSlice).flatMap((slice) => slice.addresses);
      servers = new Set(addresses.map(addressKey));
      const ofNodes = new Set([...inputs.nodes.values()].flatMap((row) => row.addresses.map(addressKey)));
      const found = addresses.map((ip) => [addressKey(ip), ip] as const).filter(([key]) => !ofNodes.has(key));
      const next = new Map(found);
      for (const [key, ip] of next) if (!outside.has(key)) prefixes.mark(hostCidr(ip), API_LABEL);
      for (const [key, ip] of outside) if (!next.has(key)) prefixes.unmark(hostCidr(ip), API_LABEL);
      outside = next;
    },
    isServer: (node) => node.apiServer || node.addresses.some((ip) => servers.has(addressKey(ip))),
  };
}

/** Whether an EndpointSlice names API servers. */
export function isApiSlice(slice: { readonly namespace: string; readonly service: string }): boolean {
  return slice.namespace === API_SERVICE.namespace && slice.service === API_SERVICE.service;
}

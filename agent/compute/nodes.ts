// Nodes -> identities and addresses. The local node is the host; the others are remote nodes, with the labels that some
// rule asks for.

import { ADDR_NODE } from '#bpf/abi.ts';
import { RESERVED } from '#common/ids.ts';
import type { NodeAddresses } from '../layout.ts';
import type { PolicyCompute } from '../policy/compute.ts';
import { SOURCE } from '../policy/world.ts';
import type { Inputs, NodeRow } from '../tables.ts';
import { type Addresses, hostCidr, type Owner } from './addresses.ts';
import { API_LABEL, createApiServers } from './api-servers.ts';
import type { Hold, Identities } from './identities.ts';
import type { Prefixes } from './prefixes.ts';

export interface NodeCompute {
  touch(name: string): void;
  /** Addresses of API servers may have changed. */
  touchApiServers(): void;
  /** A node label is mentioned by rules, or no longer. */
  mention(key: string, isMentioned: boolean): void;
  recompute(): void;
  problems(): readonly { readonly node: string; readonly reason: string }[];
}

interface Known {
  readonly hold: Hold | undefined; // undefined: the host
  readonly claims: readonly string[];
}

/** No node is called so. */
const LAYOUT: Owner = { rank: 'node', name: '' };

/** Nodes of `inputs`; the addresses of `layout` are the local one's in any case. */
export function createNodeCompute(
  inputs: Pick<Inputs, 'nodes' | 'endpointSlices'>,
  parts: {
    readonly identities: Identities;
    readonly addresses: Addresses;
    readonly prefixes: Pick<Prefixes, 'mark' | 'unmark'>;
    readonly policy: Pick<PolicyCompute, 'setNode'>;
    readonly layout: NodeAddresses;
    /** Policies for nodes are enforced. */
    readonly enforced: boolean;
  },
): NodeCompute {
  const { identities, addresses, policy } = parts;
  const servers = createApiServers(inputs, parts.prefixes);
  const known = new Map<string, Known>();
  const failed = new Set<string>();
  const mentioned = new Set<string>();
  const dirty = new Set<string>();
  let hostIsServer = false;
  let local: NodeRow | undefined;
  let isStale = true;

  const { node4, node6, gateway4, gateway6 } = parts.layout;
  for (const ip of [node4, node6, gateway4, gateway6]) {
    addresses.claim(LAYOUT, hostCidr(ip), { identity: RESERVED.host, flags: ADDR_NODE });
  }
  const enter = (name: string, row: NodeRow): Known => {
    const labels = [
      `${SOURCE.reserved}:remote-node`,
      ...(servers.isServer(row) ? [API_LABEL] : []),
      ...nodeLabels(row, mentioned),
    ];
    const hold = row.local
      ? undefined
      : identities.take({ scope: 'node', labels: labels.sort(), ports: [], subject: undefined });
    if (hold?.problem) failed.add(name);
    else failed.delete(name);
    const to = { identity: hold?.identity ?? RESERVED.host, flags: row.local ? ADDR_NODE : 0 };
    return {
      hold,
      claims: row.addresses.map((ip) => addresses.claim({ rank: 'node', name }, hostCidr(ip), to)),
    };
  };
  const replace = (name: string): Hold | undefined => {
    const before = known.get(name);
    const row = inputs.nodes.get(name);
    const after = row && enter(name, row);
    if (after) known.set(name, after);
    else {
      known.delete(name);
      failed.delete(name);
    }
    for (const claim of before?.claims ?? []) {
      if (!after?.claims.includes(claim)) addresses.remove({ rank: 'node', name }, claim);
    }
    return before?.hold;
  };
  const settleHost = (): void => {
    const row = [...inputs.nodes.values()].find((node) => node.local);
    if (row !== local) policy.setNode(parts.enforced ? row?.labels : undefined);
    local = row;
    const is = row !== undefined && servers.isServer(row);
    if (is === hostIsServer) return;
    hostIsServer = is;
    identities.relabelHost(is ? ['reserved:host', API_LABEL] : ['reserved:host']);
  };
  return {
    touch(name) {
      dirty.add(name);
      isStale = true;
    },
    touchApiServers() {
      isStale = true;
      for (const [name] of inputs.nodes.entries()) dirty.add(name);
    },
    mention(key, isMentioned) {
      if (isMentioned) mentioned.add(key);
      else mentioned.delete(key);
      for (const [name, row] of inputs.nodes.entries()) if (key in row.labels) dirty.add(name);
    },
    recompute() {
      for (const name of failed) dirty.add(name);
      if (isStale) servers.refresh();
      const before = [...dirty].flatMap((name) => replace(name) ?? []);
      dirty.clear();
      for (const hold of before) identities.release(hold);
      if (isStale) settleHost();
      isStale = false;
    },
    problems: () =>
      [...failed].map((node) => ({ node, reason: known.get(node)?.hold?.problem ?? 'Cannot allocate identity' })),
  };
}

function nodeLabels({ labels }: NodeRow, mentioned: ReadonlySet<string>): readonly string[] {
  return Object.entries(labels)
    .filter(([key]) => mentioned.has(key))
    .map(([key, value]) => `${SOURCE.node}:${key}=${value}`);
}

// Messages of api/proxy.proto as proto-loader gives and takes them, and what they mean inside a worker.

import { type Address, formatAddress, readAddress } from '#common/ip.ts';
import type { Party } from '#tracing/span.ts';
import type { PeerOrder, RuleOrder, RulesetOrder, RulesOrder } from '../rules/ruleset.ts';

export interface WorkloadMessage {
  readonly address: Buffer;
  readonly identity: number;
  readonly namespace: string;
  readonly pod: string;
  readonly workload: string;
  readonly workloadKind: string;
}

export interface HttpRuleMessage {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly headers: readonly { readonly name: string; readonly value?: string }[];
  readonly policy: string;
}

export interface PeerRulesMessage {
  readonly anyPeer: boolean;
  readonly identities: readonly number[];
  readonly wildcard: boolean;
  readonly http: readonly HttpRuleMessage[];
  readonly policies: readonly string[];
  readonly refused: boolean;
  readonly denied: readonly HttpRuleMessage[];
  readonly otherParsers: boolean;
}

export interface UpdateMessage {
  readonly version: number | string;
  readonly full: boolean;
  readonly rulesets: readonly { readonly id: number; readonly peers: readonly PeerRulesMessage[] }[];
  readonly removedRulesets: readonly number[];
  readonly workloads: readonly WorkloadMessage[];
  readonly removedWorkloads: readonly Buffer[];
}

export interface ToWorker {
  readonly update?: UpdateMessage | null;
  readonly drain?: { readonly timeoutMs: number } | null;
}

/** What an update asks of the data thread. */
export function rulesOrder(update: UpdateMessage): RulesOrder {
  return {
    version: Number(update.version),
    full: update.full,
    rulesets: update.rulesets.map((ruleset): RulesetOrder => ({ id: ruleset.id, peers: ruleset.peers.map(peerOrder) })),
    removed: update.removedRulesets,
  };
}

function peerOrder(peer: PeerRulesMessage): PeerOrder {
  return {
    anyPeer: peer.anyPeer,
    identities: peer.identities,
    wildcard: peer.wildcard,
    policies: peer.policies,
    http: peer.http.map(ruleOrder),
    refused: peer.refused,
    denied: peer.denied.map(ruleOrder),
    otherParsers: peer.otherParsers,
  };
}

function ruleOrder({ method, path, host, policy, headers }: HttpRuleMessage): RuleOrder {
  // An optional field that was not sent is absent: presence of the header is enough then.
  return { method, path, host, policy, headers: headers.map(({ name, value }) => ({ name, value })) };
}

/** What is known of addresses, for spans. */
export interface Workloads {
  apply(update: UpdateMessage): void;
  /** One end of a request. The same object for the same address and identity, while nothing changes. */
  party(address: Address, identity: number): Party;
}

/** Parties kept, addresses outside the mesh included; beyond, they are made anew. */
const MAX_PARTIES = 4096;

/** Nothing known yet. */
export function createWorkloads(): Workloads {
  const byAddress = new Map<Address, WorkloadMessage>();
  const parties = new Map<string, Party>();
  return {
    apply(update) {
      parties.clear();
      if (update.full) byAddress.clear();
      for (const address of update.removedWorkloads) byAddress.delete(readAddress(address));
      for (const workload of update.workloads) byAddress.set(readAddress(workload.address), workload);
    },
    party(address, identity) {
      const place = address + identity;
      const known = parties.get(place);
      if (known !== undefined) return known;
      if (parties.size >= MAX_PARTIES) parties.clear();
      const workload = byAddress.get(address);
      const party: Party = {
        address: formatAddress(address),
        identity,
        namespace: workload?.namespace ?? '',
        pod: workload?.pod ?? '',
        workload: workload?.workload ?? '',
      };
      parties.set(place, party);
      return party;
    },
  };
}

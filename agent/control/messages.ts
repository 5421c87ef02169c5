// Rows of the desired tables as messages of api/proxy.proto, and back what a worker says.

import { addressBytes } from '#common/ip.ts';
import type { AccessRecord } from '../flows/access-record.ts';
import type { PeerRules, RulesetRow } from '../ruleset-rows.ts';
import type { AdmittedEndpointRow } from '../tables.ts';

/** FromWorker of api/proxy.proto as proto-loader gives it (camel case, 64-bit numbers as texts). */
export interface FromWorker {
  readonly hello?: {
    readonly slot: number;
    readonly pid: number;
    readonly build: string;
    readonly version: string;
  } | null;
  readonly ack?: { readonly version: string } | null;
  readonly records?: { readonly records: readonly AccessRecord[]; readonly dropped: string } | null;
}

export interface WorkloadMessage {
  readonly address: Uint8Array;
  readonly identity: number;
  readonly namespace: string;
  readonly pod: string;
  readonly workload: string;
  readonly workloadKind: string;
}

/** Update of api/proxy.proto. */
export interface UpdateMessage {
  readonly version: number;
  readonly full: boolean;
  readonly rulesets: readonly object[];
  readonly removedRulesets: readonly number[];
  readonly workloads: readonly WorkloadMessage[];
  readonly removedWorkloads: readonly Uint8Array[];
}

/** A ruleset as the worker takes it. */
export function rulesetMessage(row: RulesetRow): object {
  return {
    id: row.id,
    subject: row.subject,
    egress: row.direction === 'egress',
    port: row.port,
    peers: row.rules.map(peerMessage),
  };
}

/** The workload behind each address of an endpoint. */
export function workloadMessages({ endpoint, identity }: AdmittedEndpointRow): readonly WorkloadMessage[] {
  const { namespace, pod, workload } = endpoint;
  return [endpoint.ip4, endpoint.ip6]
    .filter((ip) => ip !== undefined)
    .map((ip) => ({
      address: addressBytes(ip),
      identity,
      namespace,
      pod,
      workload: workload.name,
      workloadKind: workload.kind,
    }));
}

function peerMessage(rules: PeerRules): object {
  return {
    anyPeer: rules.peers === 'any',
    identities: rules.peers === 'any' ? [] : rules.peers,
    wildcard: rules.wildcard || rules.lifts.includes('http'),
    policies: rules.policies,
    http: rules.http.map(httpMessage),
    refused: rules.refused,
    denied: rules.denied.http.map(httpMessage),
    otherParsers: [rules.kafka, rules.dns, rules.generic, rules.serverNames].some((list) => list.length > 0),
  };
}

function httpMessage({ method, path, host, headers, policy }: PeerRules['http'][number]): object {
  return {
    method,
    path,
    host,
    policy,
    headers: headers.map(({ name, value }) => (value === undefined ? { name } : { name, value })),
  };
}

// For tests: policy compute by itself, with a subject, another of the same labels, and two peers.

import assert from 'node:assert/strict';
import { cookie, type Identity, identity, peerSetId } from '#common/ids.ts';
import type { DirectionRule, L7Rules, PeerSelector, PolicyObject, PortRule } from '#mesh-config/model.ts';
import { type Answer, lookup } from '../explain/lookup.ts';
import { createAllocator } from '../identity/allocator.ts';
import { createTables, type Desired, type PolicyEntryRow } from '../tables.ts';
import { createPolicyCompute, type PolicyCompute } from './compute.ts';
import { type L7Reading, readRuleset } from './reading.ts';

export const SUBJECT = identity(300);
export const OTHER = identity(301);
export const PEER = identity(400);
export const STRANGER = identity(401);

export interface Rig {
  readonly compute: PolicyCompute;
  readonly desired: Pick<Desired, 'policy' | 'peerSets' | 'rulesets' | 'cookies' | 'enforcement' | 'addresses'>;
}

export function rig(rulesetIds = 100): Rig {
  const { inputs, desired } = createTables();
  const compute = createPolicyCompute(desired, {
    rulesets: createAllocator({ name: 'ruleset id', min: 1, max: rulesetIds }, (n) => n),
    peerSets: createAllocator({ name: 'peer set', min: 1, max: 1000 }, peerSetId),
    cookies: createAllocator({ name: 'cookie', min: 1, max: 1000 }, cookie),
    world: { inputs, hold: () => {}, release: () => {} },
  });
  for (const [id, label] of [
    [SUBJECT, 'subject'],
    [OTHER, 'subject'],
    [PEER, 'peer'],
    [STRANGER, 'stranger'],
  ] as const) {
    compute.addIdentity(id, [`k8s:app=${label}`, `k8s:id=${id}`], []);
  }
  compute.addSubject(SUBJECT, 'by rules');
  return { compute, desired };
}

export const app = (value: string): PeerSelector => ({
  kind: 'labels',
  selector: { requirements: [{ source: 'any', key: 'app', operator: 'In', values: [value] }] },
});
/** The same peers by another selector. */
export const sameAs = (id: Identity): PeerSelector => ({
  kind: 'labels',
  selector: { requirements: [{ source: 'any', key: 'id', operator: 'In', values: [String(id)] }] },
});
export const tcp = (port: number, endPort = port) => ({
  kind: 'number' as const,
  port,
  endPort,
  protocol: 'TCP' as const,
});

export type Written = Partial<Pick<DirectionRule, 'peers' | 'deny'>> & Partial<PortRule> & { readonly all?: true };

export function policyOf(items: readonly Written[], name = 'p', defaultDeny = true): PolicyObject {
  const egress = items.map(
    ({ peers = 'any', deny = false, ports = [tcp(80)], l7, serverNames = [], all }, i): DirectionRule => ({
      peers,
      deny,
      ports: all ? 'all' : [{ ports, l7, serverNames }],
      place: { line: i, field: `spec.egress[${i}]` },
    }),
  );
  return {
    kind: 'CiliumNetworkPolicy',
    namespace: 'default',
    name,
    labels: {},
    annotations: {},
    origin: { file: 'p.yaml', line: 1 },
    rules: [
      {
        on: 'endpoints',
        subject: { requirements: [{ source: 'any', key: 'app', operator: 'In', values: ['subject'] }] },
        ingress: undefined,
        egress,
        defaultDeny: { ingress: false, egress: defaultDeny },
      },
    ],
  };
}

export const http = (method: string): L7Rules => ({
  kind: 'http',
  rules: [{ method, path: '', host: '', headers: [] }],
});
export const dns = (pattern: string): L7Rules => ({ kind: 'dns', rules: [{ kind: 'pattern', pattern }] });
export const kafka = (topic: string): L7Rules => ({
  kind: 'kafka',
  rules: [{ role: '', apiKey: '', apiVersion: undefined, clientId: '', topic }],
});
export const generic = (parser: string): L7Rules => ({ kind: 'generic', parser, rules: [] });

export function set({ compute }: Rig, ...policies: readonly PolicyObject[]): void {
  for (const policy of policies) compute.setPolicy(`CiliumNetworkPolicy default/${policy.name}`, policy);
  compute.compile();
  compute.recompute();
}

/** The entry that decides, as precedence.ts says. */
export function entryAt(all: Rig, port: number, peer: Identity, subject = SUBJECT): PolicyEntryRow | undefined {
  return answerTo(all, port, peer, subject)?.entry;
}

function answerTo({ desired }: Rig, port: number, peer: Identity, subject = SUBJECT): Answer | undefined {
  return lookup(desired, { subject, direction: 'egress', peer, l4: { protocol: 6, port, bits: 24 } });
}

/** "http wildcard GET,POST", "tls www", "dns *.a"; "allow", "deny". */
export function ask(all: Rig, port = 80, peer = PEER): string {
  const { verdict, entry } = answerTo(all, port, peer) ?? {};
  if (verdict !== 'redirect') return verdict ?? 'deny';
  const row = all.desired.rulesets.get(String(entry?.ruleset));
  assert.ok(row);
  const reading = readRuleset(row, peer);
  const denied = reading.denied.flatMap((lists) => lists.http.map((rule) => `not ${rule.method}`));
  return [reading.parser ?? 'none', ...(reading.wildcard ? ['wildcard'] : []), texts(reading), ...denied]
    .filter((text) => text !== '')
    .join(' ');
}

function texts({ parser, http, dns, kafka, generic, serverNames }: L7Reading): string {
  const all: Readonly<Record<string, readonly string[]>> = {
    http: http.map((rule) => rule.method),
    dns: dns.map((rule) => (rule.kind === 'name' ? rule.name : rule.pattern)),
    kafka: kafka.map((rule) => rule.topic),
    generic: generic.map((rule) => rule.parser),
    tls: serverNames.map((rule) => rule.name),
  };
  return [...new Set(all[parser ?? ''] ?? [])].sort().join();
}

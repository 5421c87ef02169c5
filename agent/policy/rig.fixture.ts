// For tests: policy compute by itself, with a subject, another of the same labels, and two peers.

import assert from 'node:assert/strict';
import { cookie, type Identity, identity } from '#common/ids.ts';
import type { DirectionRule, L7Rules, PeerSelector, PolicyObject, PortRule } from '#mesh-config/model.ts';
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
  readonly desired: Pick<Desired, 'policy' | 'rulesets' | 'cookies'>;
}

export function rig(rulesetIds = 100): Rig {
  const { inputs, desired } = createTables();
  const compute = createPolicyCompute(desired, {
    rulesets: createAllocator({ name: 'ruleset id', min: 1, max: rulesetIds }, (n) => n),
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

export function entryAt({ desired }: Rig, port: number, peer: Identity, subject = SUBJECT): PolicyEntryRow | undefined {
  const rows = [...desired.policy.values()].filter(
    (row) => row.subject === subject && row.direction === 'egress' && (row.peer === peer || row.peer === 0),
  );
  const covering = rows.filter(
    (row) =>
      row.l4Bits === 0 ||
      (row.protocol === 6 && (row.l4Bits === 8 || row.port >> (24 - row.l4Bits) === port >> (24 - row.l4Bits))),
  );
  const longest = (list: readonly PolicyEntryRow[]) => list.toSorted((a, b) => b.l4Bits - a.l4Bits)[0];
  const own = longest(covering.filter((row) => row.peer === peer));
  const any = longest(covering.filter((row) => row.peer === 0));
  if (!own || !any) return own ?? any;
  if (own.precedence !== any.precedence) return own.precedence > any.precedence ? own : any;
  return any.l4Bits > own.l4Bits ? any : own;
}

/** "http wildcard GET,POST", "tls www", "dns *.a"; "allow", "deny". */
export function ask(all: Rig, port = 80, peer = PEER): string {
  const entry = entryAt(all, port, peer);
  if (entry?.action !== 'redirect') return entry?.action ?? 'deny';
  const row = all.desired.rulesets.get(String(entry.ruleset));
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

// Tables and events of a small scene, for the tests of flows, metrics and the node API:
//
//   default/tiefighter 10.244.0.11 (ID 300) ─┐
//   default/xwing      10.244.0.12 (ID 301) ─┼─> default/deathstar-a 10.244.0.10:80 (ID 302, ingress under policy)
//                                            └─> kube-dns 10.244.0.2:53 (ID 303, on the node itself)

import { ACTION_ALLOW, ACTION_DENY, ACTION_REDIRECT, type FlowEvent } from '#bpf/abi.ts';
import { cookie, endpointId, type Identity, identity, ifindex, peerSetId, rulesetId } from '#common/ids.ts';
import { type Address, address, addressBytes } from '#common/ip.ts';
import type { Flow } from '#observe/flow/model.ts';
import { compactLine } from '#observe/flow/print.ts';
import { createTables, type EndpointRow, type PolicyEntryRow, type Tables } from '../tables.ts';
import type { AccessRecord } from './access-record.ts';
import type { FlowContext } from './base.ts';
import { createNames } from './names.ts';

export const ADDRESSES = {
  deathstar: address('10.244.0.10'),
  tiefighter: address('10.244.0.11'),
  xwing: address('10.244.0.12'),
  xwing6: address('fd00:10:244::12'),
  dns: address('10.244.0.2'),
  service: address('10.96.0.80'),
  world: address('192.0.2.7'),
} as const;
export const IDS = { tiefighter: 300, xwing: 301, deathstar: 302, dns: 303, world: 2 } as const;
/** The set of the tiefighter. */
const EMPIRE = peerSetId(30);
/** Cookie of rule1's entry. */
export const RULE1 = 7;
/** 2026-01-02T15:04:05.123456789Z, and the same moment on the scene's boot clock. */
export const WALL_NS = 1_767_366_245_123_456_789n;
export const BOOT_NS = 5_000_000_000n;
/** The clock of the scene. */
export const sceneClock = (bootNs: bigint): bigint => bootNs - BOOT_NS + WALL_NS;

/** The row of a pod; `index` is its endpoint id and interface index. */
export function endpointRow(
  pod: string,
  index: number,
  details: { ip4: Address; ip6?: Address; class: string },
): EndpointRow {
  return {
    ip4: details.ip4,
    ip6: details.ip6,
    namespace: 'default',
    pod,
    id: endpointId(index),
    labels: { class: details.class },
    workload: { kind: pod.includes('-') ? 'Deployment' : 'Pod', name: pod.split('-')[0] ?? pod },
    serviceAccount: 'default',
    device: {
      ifindex: ifindex(index),
      name: `lxc${index}`,
      podMac: '02:00:00:00:00:01',
      hostMac: '02:00:00:00:00:02',
      netns: `/run/netns/weir-node0-default-${pod}`,
      containerId: `c${index}`,
    },
    ready: true,
    namedPorts: [],
  };
}

/** The scene's tables, filled. */
export function sceneTables(): Tables {
  const tables = createTables();
  const { inputs, desired } = tables;
  const origin = { file: '/mesh/pods.yaml', line: 3 };
  for (const [name, index, label, ip4, ip6] of [
    ['deathstar-a', 10, 'deathstar', ADDRESSES.deathstar, undefined],
    ['tiefighter', 11, 'tiefighter', ADDRESSES.tiefighter, undefined],
    ['xwing', 12, 'xwing', ADDRESSES.xwing, ADDRESSES.xwing6],
  ] as const) {
    const key = `default/${name}`;
    const row = endpointRow(name, index, { ip4, class: label, ...(ip6 ? { ip6 } : {}) });
    inputs.endpoints.set(key, row);
    const container = { name: 'main', command: [], args: [], env: [], workingDir: '', ports: [] };
    inputs.pods.set(key, {
      object: {
        kind: 'Pod',
        namespace: 'default',
        name,
        labels: row.labels,
        ...{ annotations: {}, origin, audit: false },
        spec: { serviceAccount: 'default', containers: [container], restartPolicy: 'Always' },
      },
      workload: row.workload,
    });
    const status = { kind: 'Pod', namespace: 'default', name, accepted: true, problems: [] };
    tables.objects.set(`Pod ${key}`, { ...origin, ...status });
    const id = identity(IDS[label]);
    desired.identities.set(String(id), {
      identity: id,
      labels: [`k8s:class=${label}`, 'k8s:io.kubernetes.pod.namespace=default'],
      namedPorts: [],
    });
    desired.enforcement.set(key, {
      endpoint: key,
      identity: id,
      ingress: label === 'deathstar',
      egress: false,
      audit: false,
    });
    desired.policy.set(`${name} egress`, openDirection(id, 'egress'));
    if (label !== 'deathstar') desired.policy.set(`${name} ingress`, openDirection(id, 'ingress'));
  }
  fillNode(tables);
  fillPolicy(tables);
  return tables;
}

/** What compute says of a direction that no policy speaks of. */
function openDirection(subject: Identity, direction: 'ingress' | 'egress'): PolicyEntryRow {
  const everything = { peers: peerSetId(0), protocol: 0, port: 0, l4Bits: 0 };
  return { subject, direction, ...everything, action: 'allow', precedence: 0, ruleset: undefined, cookie: cookie(0) };
}

function fillNode({ inputs, desired }: Tables): void {
  inputs.namespaces.set('default', {
    kind: 'Namespace',
    namespace: '',
    name: 'default',
    labels: {},
    annotations: {},
    origin: { file: '', line: 0 },
  });
  const dns = endpointRow('kube-dns', 2, { ip4: ADDRESSES.dns, class: 'dns' });
  inputs.endpoints.set('kube-system/kube-dns', { ...dns, namespace: 'kube-system', device: undefined });
  const id = identity(IDS.dns);
  desired.enforcement.set('kube-system/kube-dns', {
    endpoint: 'kube-system/kube-dns',
    identity: id,
    ...{ ingress: false, egress: false, audit: false },
  });
  inputs.services.set('default/deathstar', {
    kind: 'Service',
    namespace: 'default',
    name: 'deathstar',
    labels: {},
    annotations: {},
    origin: { file: '/mesh/pods.yaml', line: 30 },
    selector: { class: 'deathstar' },
    clusterIps: [],
    ports: [{ name: 'http', port: 80, targetPort: 80, protocol: 'TCP' }],
  });
  desired.backends.set('1', { id: 1, address: ADDRESSES.deathstar, port: 80, protocol: 6 });
  desired.frontends.set('10.96.0.80 80 6', {
    address: ADDRESSES.service,
    port: 80,
    protocol: 6,
    service: 1,
    name: 'default/deathstar',
    backends: [1],
  });
}

/** The policy of the scene. */
export const RULE1_KEY = 'CiliumNetworkPolicy default/rule1';
/** The rule behind the entry that lets the tiefighter in. */
const PLACE = { line: 12, field: 'spec.ingress[0]' };
const RULE1_ORIGIN = { policy: RULE1_KEY, file: '/mesh/rule1.yaml', ...PLACE };

function fillPolicy({ inputs, desired, objects }: Tables): void {
  const origin = { file: '/mesh/rule1.yaml', line: 1 };
  inputs.policies.set(RULE1_KEY, {
    kind: 'CiliumNetworkPolicy',
    namespace: 'default',
    name: 'rule1',
    labels: {},
    annotations: {},
    origin,
    rules: [
      {
        on: 'endpoints',
        subject: { requirements: [{ source: 'any', key: 'class', operator: 'In', values: ['deathstar'] }] },
        ingress: [{ peers: 'any', ports: 'all', deny: false, place: PLACE }],
        egress: undefined,
        defaultDeny: { ingress: true, egress: false },
      },
    ],
  });
  objects.set(RULE1_KEY, {
    ...origin,
    kind: 'CiliumNetworkPolicy',
    namespace: 'default',
    name: 'rule1',
    accepted: true,
    problems: [],
  });
  for (const id of Object.values(IDS)) {
    const sets = id === IDS.tiefighter ? [EMPIRE] : [];
    desired.peerSets.set(String(id), { identity: identity(id), sets });
  }
  desired.cookies.set(String(RULE1), { cookie: cookie(RULE1), policies: [RULE1_KEY], rules: [RULE1_ORIGIN] });
  desired.policy.set('rule1', {
    subject: identity(IDS.deathstar),
    peers: EMPIRE,
    direction: 'ingress',
    protocol: 6,
    port: 80,
    l4Bits: 24,
    action: 'redirect',
    precedence: 1,
    ruleset: rulesetId(1),
    cookie: cookie(RULE1),
  });
}

/** A kernel event: SYN from the tiefighter to the death star, to which `change` is applied. */
export function flowEvent(change: Partial<FlowEvent>): FlowEvent {
  return {
    timeNs: BOOT_NS,
    kind: 1,
    reason: 0,
    family: 4,
    protocol: 6,
    direction: 0,
    tcpFlags: 0x02,
    isReply: 0,
    steered: 0,
    egressAction: ACTION_ALLOW,
    ingressAction: ACTION_ALLOW,
    egressMatch: 4,
    ingressMatch: 2,
    egressCookie: 0,
    ingressCookie: RULE1,
    sourceIdentity: IDS.tiefighter,
    destinationIdentity: IDS.deathstar,
    ifindex: 11,
    source: ADDRESSES.tiefighter,
    destination: ADDRESSES.deathstar,
    sourcePort: 33456,
    destinationPort: 80,
    length: 0,
    forwardPackets: 0n,
    forwardBytes: 0n,
    replyPackets: 0n,
    replyBytes: 0n,
    ...change,
  };
}

/** The tiefighter's connection, steered to the proxy. */
export const STEERED = { steered: 1, ingressAction: ACTION_REDIRECT } as const;
/** The xwing's SYN, dropped by the death star's ingress policy. */
export const DENIED = {
  kind: 4,
  reason: 133,
  direction: 1,
  ingressAction: ACTION_DENY,
  ingressMatch: 0,
  ingressCookie: 0,
  source: ADDRESSES.xwing,
  sourceIdentity: IDS.xwing,
  ifindex: 12,
} as const;

/** An access record: the tiefighter's allowed landing request, to which `change` is applied. */
export function accessRecord(change: Partial<AccessRecord>): AccessRecord {
  return {
    timeUnixNs: String(WALL_NS),
    source: addressBytes(ADDRESSES.tiefighter),
    destination: addressBytes(ADDRESSES.deathstar),
    sourcePort: 33456,
    destinationPort: 80,
    sourceIdentity: IDS.tiefighter,
    destinationIdentity: IDS.deathstar,
    egress: false,
    ingress: true,
    verdict: 'VERDICT_FORWARDED',
    method: 'POST',
    path: '/v1/request-landing',
    host: 'deathstar.default.svc.cluster.local',
    protocol: 'HTTP/1.1',
    status: 200,
    latencyNs: '4200000',
    policies: [RULE1_KEY],
    reason: '',
    traceId: new Uint8Array(0),
    ...change,
  };
}

/** A flow context over the scene. */
export function sceneContext(): FlowContext {
  return { node: 'node0', names: createNames(sceneTables()), wallNs: sceneClock };
}

/** The compact lines of flows, with policy names. */
export function compactLines(flows: readonly Flow[]): string[] {
  const layout = { output: 'compact', policyNames: true, nodeName: false, numeric: false } as const;
  return flows.map((flow) => compactLine(flow, layout).trimEnd());
}

/** How lines of the scene begin and name its ends. */
export const AT = 'Jan 02 15:04:05.123: ';
export const TIE = 'default/tiefighter:33456 (ID:300)';
export const XWING = 'default/xwing:33456 (ID:301)';
export const STAR = 'default/deathstar-a:80 (ID:302)';

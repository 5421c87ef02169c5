import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { DROP_REASONS, type FlowEvent } from '#bpf/abi.ts';
import { kernelFlows } from './kernel.ts';
import { createNames } from './names.ts';
import {
  ADDRESSES,
  AT,
  compactLines,
  DENIED,
  flowEvent,
  IDS,
  RULE1,
  STAR,
  STEERED,
  sceneClock,
  sceneContext,
  sceneTables,
  TIE,
  XWING,
} from './scene.fixture.ts';

const KERNEL_CASES: readonly { name: string; event: Partial<FlowEvent>; lines: readonly string[] }[] = [
  {
    name: 'new connection under L3/L4 policy: verdict of the enforced side, then delivery',
    event: {},
    lines: [
      `${AT}${TIE} -> ${STAR} policy-verdict:L3-L4 INGRESS ALLOWED BY rule1 (CiliumNetworkPolicy) (TCP Flags: SYN)`,
      `${AT}${TIE} -> ${STAR} to-endpoint FORWARDED (TCP Flags: SYN)`,
    ],
  },
  {
    name: 'new connection under L7 policy: redirected verdict reads ALLOWED, then to-proxy',
    event: STEERED,
    lines: [
      `${AT}${TIE} -> ${STAR} policy-verdict:L3-L4 INGRESS ALLOWED BY rule1 (CiliumNetworkPolicy) (TCP Flags: SYN)`,
      `${AT}${TIE} -> ${STAR} to-proxy FORWARDED (TCP Flags: SYN)`,
    ],
  },
  {
    name: 'denied connection: verdict, then drop',
    event: DENIED,
    lines: [
      `${AT}${XWING} -> ${STAR} policy-verdict:none INGRESS DENIED (TCP Flags: SYN)`,
      `${AT}${XWING} -> ${STAR} Policy denied DROPPED (TCP Flags: SYN)`,
    ],
  },
  {
    name: 'connection without policy on either side: delivery only',
    event: {
      destination: ADDRESSES.xwing,
      destinationIdentity: IDS.xwing,
      destinationPort: 8080,
      ingressCookie: 0,
      ingressMatch: 4,
    },
    lines: [`${AT}${TIE} -> default/xwing:8080 (ID:301) to-endpoint FORWARDED (TCP Flags: SYN)`],
  },
  {
    name: 'connection to the resolver on the node: to-host',
    event: {
      protocol: 17,
      tcpFlags: 0,
      destination: ADDRESSES.dns,
      destinationIdentity: IDS.dns,
      destinationPort: 53,
      ingressAction: 0,
    },
    lines: [
      `${AT}${TIE} -> default/kube-dns:53 (ID:303) to-host FORWARDED (UDP)`.replace('default/kube', 'kube-system/kube'),
    ],
  },
  {
    name: 'connection to the world: to-stack, named by address',
    event: { destination: ADDRESSES.world, destinationIdentity: IDS.world, destinationPort: 443, ingressAction: 0 },
    lines: [`${AT}${TIE} -> 192.0.2.7:443 (world) to-stack FORWARDED (TCP Flags: SYN)`],
  },
  {
    name: 'closed connection: the closing packet, from its sender',
    event: { kind: 3, tcpFlags: 0x11, isReply: 1 },
    lines: [`${AT}${TIE} <- ${STAR} to-endpoint FORWARDED (TCP Flags: ACK, FIN)`],
  },
  { name: 'closed UDP exchange: nothing', event: { kind: 3, protocol: 17 }, lines: [] },
  {
    name: 'verdict changed to deny: the verdict only, the drop comes as its own event',
    event: { kind: 2, ingressAction: 2, ingressMatch: 0, ingressCookie: 0, tcpFlags: 0x18 },
    lines: [`${AT}${TIE} -> ${STAR} policy-verdict:none INGRESS DENIED (TCP Flags: ACK, PSH)`],
  },
  {
    name: 'verdict changed to the proxy, past which the connection goes: the verdict only',
    event: { kind: 2, ingressAction: 3, tcpFlags: 0x18 },
    lines: [
      `${AT}${TIE} -> ${STAR} policy-verdict:L3-L4 INGRESS ALLOWED BY rule1 (CiliumNetworkPolicy) (TCP Flags: ACK, PSH)`,
    ],
  },
  {
    name: 'denied at the receiver, sender without egress policy, identity not looked up yet: filled in by name',
    event: { ...DENIED, egressMatch: 2, egressCookie: RULE1, source: ADDRESSES.deathstar, sourceIdentity: 0 },
    lines: [
      `${AT}default/deathstar-a:33456 (ID:302) -> ${STAR} policy-verdict:none INGRESS DENIED (TCP Flags: SYN)`,
      `${AT}default/deathstar-a:33456 (ID:302) -> ${STAR} Policy denied DROPPED (TCP Flags: SYN)`,
    ],
  },
  {
    name: 'drop before policy: no verdict, direction of the answer not known',
    event: {
      kind: 4,
      reason: 132,
      direction: 2,
      egressAction: 0,
      ingressAction: 0,
      source: ADDRESSES.world,
      sourceIdentity: IDS.tiefighter,
    },
    lines: [`${AT}192.0.2.7:33456 (ID:300) <> ${STAR} Invalid source ip DROPPED (TCP Flags: SYN)`],
  },
  {
    name: 'drop for want of a worker has its own text',
    event: { kind: 4, reason: 220, direction: 1 },
    lines: [`${AT}${TIE} <> ${STAR} No proxy listener DROPPED (TCP Flags: SYN)`],
  },
  {
    name: 'ICMP echo, IPv6, dropped by deny policy',
    event: {
      ...DENIED,
      reason: 181,
      family: 6,
      protocol: 58,
      source: ADDRESSES.xwing6,
      sourcePort: 0,
      destinationPort: 128,
      tcpFlags: 0,
      ingressMatch: 1,
      ingressCookie: RULE1,
    },
    lines: [
      `${AT}default/xwing (ID:301) -> default/deathstar-a (ID:302) policy-verdict:L3-Only INGRESS DENIED BY rule1 (CiliumNetworkPolicy) (ICMPv6 EchoRequest)`,
      `${AT}default/xwing (ID:301) -> default/deathstar-a (ID:302) Policy denied by denylist DROPPED BY rule1 (CiliumNetworkPolicy) (ICMPv6 EchoRequest)`,
    ],
  },
  { name: 'event of an unknown kind: nothing', event: { kind: 99 }, lines: [] },
];

for (const { name, event, lines: expected } of KERNEL_CASES) {
  test(`\`kernelFlows\`: ${name}`, () => {
    assert.deepEqual(compactLines(kernelFlows(flowEvent(event), sceneContext())), expected);
  });
}

test('`kernelFlows` gives a drop its reason, direction and interface', () => {
  const drop = kernelFlows(flowEvent(DENIED), sceneContext())[1];
  assert.deepEqual(
    [drop?.drop_reason, drop?.drop_reason_desc, drop?.event_type, drop?.traffic_direction, drop?.interface],
    [133, 'POLICY_DENIED', { type: 1, sub_type: 133 }, 'INGRESS', { index: 12, name: 'lxc12' }],
  );
});

test('`kernelFlows` shows the verdict of a sender under egress policy before the receiver denies', () => {
  const tables = sceneTables();
  const row = tables.desired.enforcement.get('default/xwing');
  assert.ok(row);
  tables.desired.enforcement.set('default/xwing', { ...row, egress: true });
  const both = { node: 'node0', names: createNames(tables), wallNs: sceneClock };
  const flows = kernelFlows(flowEvent({ ...DENIED, egressMatch: 2, egressCookie: RULE1 }), both);
  assert.deepEqual(
    flows.map((f) => [f.event_type.type, f.traffic_direction, f.verdict]),
    [
      [5, 'EGRESS', 'FORWARDED'],
      [5, 'INGRESS', 'DROPPED'],
      [1, 'INGRESS', 'DROPPED'],
    ],
  );
  assert.deepEqual(flows[0]?.egress_allowed_by?.[0]?.name, 'rule1');
});

test('every drop reason of the kernel programs has a name that the flow API knows', () => {
  const proto = readFileSync(new URL('../../api/flow.proto', import.meta.url), 'utf8');
  for (const { flowName } of Object.values(DROP_REASONS))
    assert.match(proto, new RegExp(`^  ${flowName} = \\d+;`, 'm'));
});

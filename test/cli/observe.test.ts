import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { accessRecord, STAR, TIE, XWING } from '#agent/flows/scene.fixture.ts';
import { sceneNode } from './node.fixture.ts';
import { start } from './run.fixture.ts';

const node = await sceneNode();
after(() => node.close());

const BASE = 'http://deathstar.default.svc.cluster.local/v1';
const SCENE = [
  `${TIE} -> ${STAR} policy-verdict:L3-L4 INGRESS ALLOWED (TCP Flags: SYN)`,
  `${TIE} -> ${STAR} to-proxy FORWARDED (TCP Flags: SYN)`,
  `${XWING} -> ${STAR} policy-verdict:none INGRESS DENIED (TCP Flags: SYN)`,
  `${XWING} -> ${STAR} Policy denied DROPPED (TCP Flags: SYN)`,
  `${TIE} -> ${STAR} http-request FORWARDED (HTTP/1.1 POST ${BASE}/request-landing)`,
  `${TIE} <- ${STAR} http-response FORWARDED (HTTP/1.1 200 4ms (POST ${BASE}/request-landing))`,
  `${TIE} -> ${STAR} http-request DROPPED (HTTP/1.1 PUT ${BASE}/exhaust-port)`,
  `${TIE} <- ${STAR} http-response FORWARDED (HTTP/1.1 403 0ms (PUT ${BASE}/exhaust-port))`,
];

const OBSERVE: readonly { readonly args: readonly string[]; readonly lines: readonly number[] }[] = [
  { args: [], lines: [0, 1, 2, 3, 4, 5, 6, 7] },
  { args: ['--last', '2'], lines: [6, 7] },
  { args: ['--first', '1'], lines: [0] },
  { args: ['--all', '--pod', 'xwing'], lines: [2, 3] },
  { args: ['--from-pod', 'tiefighter', '--type', 'l7'], lines: [4, 6] },
  { args: ['--to-pod', 'tiefighter'], lines: [5, 7] },
  { args: ['--verdict', 'DROPPED', '--type', 'l7'], lines: [6] },
  { args: ['--verdict', 'dropped', '--not', '--pod', 'xwing'], lines: [6] },
  { args: ['--type', 'drop', '--type', 'trace:to-proxy'], lines: [1, 3] },
  { args: ['-l', 'class=xwing'], lines: [2, 3] },
  { args: ['--http-status', '4+'], lines: [7] },
  { args: ['--http-method', 'PUT', '--http-path', '/v1/exhaust.*'], lines: [6, 7] },
  { args: ['--protocol', 'http', '--port', '80', '--identity', '300', '--last', '1'], lines: [7] },
  { args: ['--ip', '10.244.0.12', '-n', 'default'], lines: [2, 3] },
  { args: ['--port', '443'], lines: [] },
  { args: ['--since', '1m'], lines: [] },
  {
    args: ['--since', '2026-01-02T15:04:05Z', '--until', '2026-01-02T15:04:05.126Z', '--type', 'l7'],
    lines: [4, 6, 7],
  },
];

for (const { args, lines } of OBSERVE) {
  test(`\`weir observe ${args.join(' ')}\``, async () => {
    const { code, out, err } = await node.ask('observe', ...args);
    assert.equal(err, '');
    assert.equal(code, 0);
    const seen = out.split('\n').slice(0, -1);
    for (const line of seen) assert.match(line, /^Jan 02 15:04:05\.12[37]: /);
    assert.deepEqual(
      seen.map((line) => line.replace(/^.{19}: /, '')),
      lines.map((index) => SCENE[index]),
    );
  });
}

test('`weir observe -o json` prints what `hubble observe -o json` prints', async () => {
  const { out } = await node.ask('observe', '-o', 'json', '--type', 'drop');
  const { flow, node_name, time, ...rest } = JSON.parse(out);
  assert.deepEqual([rest, node_name, time], [{}, 'node0', '2026-01-02T15:04:05.123456789Z']);
  assert.deepEqual(
    [
      flow.verdict,
      flow.drop_reason,
      flow.drop_reason_desc,
      flow.Type,
      flow.event_type,
      flow.is_reply,
      flow.l4.TCP.flags,
    ],
    ['DROPPED', 133, 'POLICY_DENIED', 'L3_L4', { type: 1, sub_type: 133 }, false, { SYN: true }],
  );
});

test('`weir observe --print-policy-names` names who allowed it', async () => {
  const { out } = await node.ask('observe', '--print-policy-names', '--first', '1');
  assert.match(out, /INGRESS ALLOWED BY rule1 \(CiliumNetworkPolicy\) \(TCP Flags: SYN\)$/m);
});

test('`weir observe --follow` prints what comes until Ctrl-C, and ends with 0', async () => {
  const follow = start('observe', '--socket', node.socket, '--follow', '--last', '1', '--http-path', '/later|exhaust');
  await follow.until('exhaust-port');
  node.pipeline.accessRecords([accessRecord({ path: '/later', status: 0 })], 0);
  await follow.until('/later');
  follow.kill('SIGINT');
  const { code, err } = await follow.done;
  assert.deepEqual([code, err], [0, '']);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readObjects } from '#mesh-config/read.ts';
import { unenforceable } from './enforceable.ts';

const policy = (ports: string): string =>
  `apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: a}\nspec:\n  endpointSelector: {}\n  egress:\n  - toPorts:\n    - ${ports}\n`;
const TCP = 'ports: [{port: "80", protocol: TCP}]';

for (const { ports, reason } of [
  { ports: `{${TCP}}`, reason: undefined },
  { ports: `{${TCP}, rules: {http: [{path: /x}]}}`, reason: undefined },
  {
    ports: `{${TCP}, rules: {http: [{headerMatches: [{name: a, value: b}]}]}}`,
    reason: /^headerMatches are not supported/,
  },
  { ports: `{${TCP}, rules: {kafka: [{topic: t}]}}`, reason: /^Kafka rules are not/ },
  { ports: `{${TCP}, rules: {l7proto: r2d2, l7: [{cmd: READ}]}}`, reason: /^the parser "r2d2" is not/ },
  { ports: `{${TCP}, serverNames: [a.example.com]}`, reason: /^serverNames are not/ },
  {
    ports: '{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchPattern: "*"}]}}',
    reason: /^DNS rules are not/,
  },
]) {
  test(`unenforceable says ${reason ?? 'nothing'} of ${ports}`, () => {
    const { objects, problems } = readObjects('p.yaml', policy(ports));
    assert.deepEqual(
      problems.filter((problem) => !problem.warning),
      [],
    );
    const [found, ...more] = unenforceable(objects);
    assert.deepEqual(more, []);
    if (!reason) assert.equal(found, undefined);
    else {
      assert.match(found?.reason ?? '', reason);
      assert.deepEqual([found?.field, found?.line, found?.warning], ['spec.egress[0].toPorts', 7, false]);
    }
  });
}

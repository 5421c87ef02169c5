import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ServiceObject } from '../model.ts';
import { accepted, refused } from '../testing.ts';

function service(spec: string): string {
  return `apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: n}\nspec:\n${spec.replace(/^/gm, '  ')}\n`;
}

describe('a Service is read', () => {
  const cases: { name: string; spec: string; expected: Partial<ServiceObject> }[] = [
    {
      name: 'with the defaults of Kubernetes',
      spec: 'selector: {app: a}\nports: [{port: 80}]',
      expected: {
        selector: { app: 'a' },
        clusterIps: [],
        ports: [{ name: '', port: 80, targetPort: 80, protocol: 'TCP' }],
      },
    },
    {
      name: 'with several ports',
      spec: 'type: ClusterIP\nports:\n- {name: a, port: 80, targetPort: http}\n- {name: b, port: 80, protocol: UDP, targetPort: 8080}',
      expected: {
        selector: undefined,
        ports: [
          { name: 'a', port: 80, targetPort: 'http', protocol: 'TCP' },
          { name: 'b', port: 80, targetPort: 8080, protocol: 'UDP' },
        ],
      },
    },
    {
      name: 'headless',
      spec: 'clusterIP: None\nselector: {}',
      expected: { clusterIps: 'None', selector: undefined, ports: [] },
    },
    {
      name: 'with an address',
      spec: 'clusterIP: 10.96.0.10\nports: [{port: 53}]',
      expected: { clusterIps: ['10.96.0.10'] },
    },
    {
      name: 'with both addresses',
      spec: 'clusterIP: fd00::a\nclusterIPs: ["fd00::a", 10.96.0.10]\nports: [{port: 53}]',
      expected: { clusterIps: ['fd00::a', '10.96.0.10'] },
    },
    {
      name: 'with the harmless values that a cluster adds',
      spec: 'sessionAffinity: None\ninternalTrafficPolicy: Cluster\nports: [{port: 53, nodePort: 0}]',
      expected: { clusterIps: [] },
    },
  ];
  for (const { name, spec, expected } of cases) {
    test(name, () => {
      const { object, warnings } = accepted('Service', service(spec));
      assert.deepEqual({ ...object, ...expected }, object);
      assert.deepEqual(warnings, []);
    });
  }
});

describe('a Service is refused', () => {
  const cases: { name: string; spec: string; reason: RegExp }[] = [
    {
      name: 'of another type',
      spec: 'type: NodePort\nports: [{port: 1}]',
      reason: /^5 spec\.type: type "NodePort" is not supported yet/,
    },
    {
      name: 'with affinity',
      spec: 'sessionAffinity: ClientIP\nports: [{port: 1}]',
      reason: /"sessionAffinity" is not supp/,
    },
    {
      name: 'with outside addresses',
      spec: 'externalIPs: [1.2.3.4]\nports: [{port: 1}]',
      reason: /"externalIPs" is not/,
    },
    {
      name: 'with local traffic only',
      spec: 'internalTrafficPolicy: Local\nports: [{port: 1}]',
      reason: /"internalTrafficPolicy"/,
    },
    { name: 'without ports', spec: 'selector: {a: b}', reason: /spec\.ports: required: only a headless/ },
    { name: 'with a bad port', spec: 'ports: [{port: 0}]', reason: /ports\[0\]\.port: 0 must be from 1 to 65535/ },
    {
      name: 'with a port as text',
      spec: 'ports: [{port: "80"}]',
      reason: /ports\[0\]\.port: must be a number, not "80"|whole number/,
    },
    {
      name: 'with a bad target',
      spec: 'ports: [{port: 1, targetPort: UPPER}]',
      reason: /targetPort: "UPPER" must be a port name/,
    },
    {
      name: 'with a target of the wrong type',
      spec: 'ports: [{port: 1, targetPort: true}]',
      reason: /targetPort: must be a .* or a string/,
    },
    {
      name: 'with unnamed ports',
      spec: 'ports: [{port: 1}, {name: b, port: 2}]',
      reason: /ports\[0\]\.name: required when/,
    },
    {
      name: 'with a name twice',
      spec: 'ports: [{name: b, port: 1}, {name: b, port: 2}]',
      reason: /ports\[1\]\.name: "b" is used twice/,
    },
    {
      name: 'with a port twice',
      spec: 'ports: [{name: a, port: 1}, {name: b, port: 1}]',
      reason: /ports\[1\]\.port: 1\/TCP is used twice/,
    },
    {
      name: 'with an address that is none',
      spec: 'clusterIP: 10.0.0\nports: [{port: 1}]',
      reason: /clusterIP: "10.0.0" is not an IP/,
    },
    {
      name: 'with two addresses of one family',
      spec: 'clusterIPs: [10.0.0.1, 10.0.0.2]\nports: [{port: 1}]',
      reason: /each family/,
    },
    {
      name: 'with contradicting addresses',
      spec: 'clusterIP: 10.0.0.1\nclusterIPs: [10.0.0.2]\nports: [{port: 1}]',
      reason: /differs/,
    },
    { name: 'half headless', spec: 'clusterIPs: [None, 10.0.0.2]\nports: [{port: 1}]', reason: /"None" stands alone/ },
  ];
  for (const { name, spec, reason } of cases) {
    test(name, () => {
      const found = refused(service(spec));
      assert.equal(found.length, 1, found.join('\n'));
      assert.match(found[0] ?? '', reason);
    });
  }
});

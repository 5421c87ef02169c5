import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { accepted, refused } from '../testing.ts';
import { expandVariables } from './expand.ts';

function pod(spec: string): string {
  return `apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n${spec.replace(/^/gm, '  ')}\n`;
}

function deployment(spec: string): string {
  return `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: n}\nspec:\n${spec.replace(/^/gm, '  ')}\n`;
}

test('a Pod is read whole', () => {
  const { object, warnings } = accepted(
    'Pod',
    pod(`serviceAccountName: robot
restartPolicy: OnFailure
containers:
- name: web
  command: [server, --port]
  args: ["$(PORT)", "$$HOME", "$(NONE)"]
  workingDir: /srv
  env:
  - {name: PORT, value: "80"}
  - {name: URL, value: "http://x:$(PORT)/$(LATER)"}
  - {name: LATER}
  ports:
  - {name: http, containerPort: 80}
  - {containerPort: 53, protocol: UDP}
- {name: idle, command: [sleep, infinity]}`),
  );
  assert.deepEqual(warnings, []);
  assert.equal(object.namespace, 'default');
  assert.deepEqual(object.spec, {
    serviceAccount: 'robot',
    restartPolicy: 'OnFailure',
    containers: [
      {
        name: 'web',
        command: ['server', '--port'],
        args: ['80', '$HOME', '$(NONE)'],
        workingDir: '/srv',
        env: [
          { name: 'PORT', value: '80' },
          { name: 'URL', value: 'http://x:80/$(LATER)' },
          { name: 'LATER', value: '' },
        ],
        ports: [
          { name: 'http', port: 80, protocol: 'TCP' },
          { name: '', port: 53, protocol: 'UDP' },
        ],
      },
      { name: 'idle', command: ['sleep', 'infinity'], args: [], workingDir: '', env: [], ports: [] },
    ],
  });
});

test('expandVariables follows Kubernetes', () => {
  const values = new Map([
    ['A', 'x'],
    ['B', '$(A)'],
  ]);
  const cases: { text: string; expanded: string }[] = [
    { text: '$(A)$(A)', expanded: 'xx' },
    { text: '$(B)', expanded: '$(A)' },
    { text: '$$(A)', expanded: '$(A)' },
    { text: '$$$(A)', expanded: '$x' },
    { text: '$A {A} $', expanded: '$A {A} $' },
    { text: '$(C) $(A', expanded: '$(C) $(A' },
    { text: '$(date)', expanded: '$(date)' },
  ];
  for (const { text, expanded } of cases) assert.equal(expandVariables(text, values), expanded, text);
});

test('what a cluster adds to a Pod is ignored aloud', () => {
  const { object, warnings } = accepted(
    'Pod',
    pod(`nodeName: worker
tolerations: [{key: x, operator: Exists}]
priority: 0
dnsPolicy: ClusterFirst
hostNetwork: false
securityContext: {}
volumes: []
terminationGracePeriodSeconds: 30
serviceAccount: robot
containers:
- name: a
  image: nginx
  imagePullPolicy: Always
  command: [nginx]
  resources: {limits: {cpu: 1}}
  livenessProbe: {httpGet: {path: /, port: 80}}
  securityContext: {}`),
  );
  assert.equal(object.spec.serviceAccount, 'robot');
  assert.deepEqual(
    warnings.map((line) => line.split(':')[0]),
    [
      'spec.nodeName',
      'spec.tolerations',
      'spec.priority',
      'spec.terminationGracePeriodSeconds',
      'spec.containers[0].image',
      'spec.containers[0].imagePullPolicy',
      'spec.containers[0].resources',
      'spec.containers[0].livenessProbe',
    ],
  );
});

describe('a Pod is refused', () => {
  const one = 'containers:\n- {name: a, command: [x]}\n';
  const cases: { name: string; spec: string; reason: RegExp }[] = [
    { name: 'without containers', spec: 'containers: []', reason: /^5 spec\.containers: a pod needs at least one/ },
    {
      name: 'without command',
      spec: 'containers:\n- {name: a, image: nginx}',
      reason: /containers\[0\]\.command: required/,
    },
    {
      name: 'with args only',
      spec: 'containers:\n- {name: a, args: [x]}',
      reason: /containers\[0\]\.command: required/,
    },
    {
      name: 'on the host’s network',
      spec: `${one}hostNetwork: true`,
      reason: /^7 spec\.hostNetwork: "hostNetwork" is not supp/,
    },
    {
      name: 'with volumes',
      spec: `${one}volumes: [{name: a, emptyDir: {}}]`,
      reason: /"volumes" is not supported yet/,
    },
    { name: 'with another user', spec: `${one}securityContext: {runAsUser: 1}`, reason: /"securityContext" is not/ },
    { name: 'with init containers', spec: `${one}initContainers: [{name: b}]`, reason: /"initContainers" is not/ },
    { name: 'with other names', spec: `${one}dnsPolicy: None`, reason: /"dnsPolicy" is not supported yet/ },
    { name: 'with a deadline', spec: `${one}activeDeadlineSeconds: 5`, reason: /"activeDeadlineSeconds" is not/ },
    {
      name: 'with a variable from elsewhere',
      spec: 'containers:\n- {name: a, command: [x], env: [{name: A, valueFrom: {fieldRef: {fieldPath: x}}}]}',
      reason: /env\[0\]\.valueFrom: "valueFrom" is not supported yet: write a value/,
    },
    {
      name: 'with a port of the machine',
      spec: 'containers:\n- {name: a, command: [x], ports: [{containerPort: 1, hostPort: 1}]}',
      reason: /ports\[0\]\.hostPort: "hostPort" is not supported/,
    },
    {
      name: 'with a port that is none',
      spec: 'containers:\n- {name: a, command: [x], ports: [{containerPort: 65536}]}',
      reason: /ports\[0\]\.containerPort: 65536 must be from 1 to 65535/,
    },
    {
      name: 'with two containers of one name',
      spec: 'containers:\n- {name: a, command: [x]}\n- {name: a, command: [x]}',
      reason: /^7 spec\.containers\[1\]\.name: "a" is used twice/,
    },
    {
      name: 'with two ports of one name',
      spec: 'containers:\n- name: a\n  command: [x]\n  ports: [{name: w, containerPort: 1}, {name: w, containerPort: 2}]',
      reason: /ports\[1\]\.name: "w" is used twice/,
    },
    {
      name: 'with a relative directory',
      spec: 'containers:\n- {name: a, command: [x], workingDir: b}',
      reason: /absolute path/,
    },
    { name: 'with a NUL', spec: 'containers:\n- {name: a, command: ["a\\0"]}', reason: /must not contain a NUL/ },
    {
      name: 'with a number as argument',
      spec: 'containers:\n- {name: a, command: [sleep, 5]}',
      reason: /write "5" in quotes/,
    },
    { name: 'with an unknown restart policy', spec: `${one}restartPolicy: always`, reason: /did you mean "Always"\?/ },
    {
      name: 'with two service accounts',
      spec: `${one}serviceAccount: a\nserviceAccountName: b`,
      reason: /differs from/,
    },
    { name: 'with an unknown field', spec: `${one}hostNetwrok: true`, reason: /did you mean "hostNetwork"\?/ },
  ];
  for (const { name, spec, reason } of cases) {
    test(name, () => {
      const found = refused(pod(spec));
      assert.equal(found.length, 1, found.join('\n'));
      assert.match(found[0] ?? '', reason);
    });
  }
});

test('a Deployment is read whole', () => {
  const { object, warnings } = accepted(
    'Deployment',
    deployment(`replicas: 2
revisionHistoryLimit: 3
selector:
  matchLabels: {app: a}
  matchExpressions:
  - {key: app, operator: In, values: [b, a]}
  - {key: other, operator: DoesNotExist}
template:
  metadata: {labels: {app: a, more: b}, annotations: {x: y}, creationTimestamp: null}
  spec: {containers: [{name: c, command: [x]}]}`),
  );
  assert.equal(object.replicas, 2);
  assert.deepEqual(object.template.labels, { app: 'a', more: 'b' });
  assert.deepEqual(object.template.annotations, { x: 'y' });
  assert.deepEqual(object.template.spec.containers[0]?.command, ['x']);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /^spec\.revisionHistoryLimit: /);
});

describe('a Deployment is refused', () => {
  const template = 'template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, command: [x]}]}}';
  const cases: { name: string; spec: string; reason: RegExp }[] = [
    { name: 'without selector', spec: template, reason: /^4 spec\.selector: required, but missing/ },
    {
      name: 'with an empty selector',
      spec: `selector: {}\n${template}`,
      reason: /^5 spec\.selector: must not be empty/,
    },
    {
      name: 'with a selector that misses its pods',
      spec: `selector: {matchLabels: {app: b}}\n${template}`,
      reason: /^5 spec\.selector: does not match the label "app"/,
    },
    {
      name: 'with a selector that excludes its pods',
      spec: `selector: {matchExpressions: [{key: app, operator: NotIn, values: [a]}]}\n${template}`,
      reason: /does not match the label "app"/,
    },
    {
      name: 'paused',
      spec: `paused: true\nselector: {matchLabels: {app: a}}\n${template}`,
      reason: /"paused" is not supported yet/,
    },
    {
      name: 'with too many replicas',
      spec: `replicas: 1001\nselector: {matchLabels: {app: a}}\n${template}`,
      reason: /replicas: 1001 is over 1000/,
    },
    {
      name: 'with pods that end',
      spec: `selector: {matchLabels: {app: a}}\n${template.replace('{containers', '{restartPolicy: Never, containers')}`,
      reason: /restartPolicy: must be Always in a Deployment/,
    },
  ];
  for (const { name, spec, reason } of cases) {
    test(name, () => {
      const found = refused(deployment(spec));
      assert.equal(found.length, 1, found.join('\n'));
      assert.match(found[0] ?? '', reason);
    });
  }
});

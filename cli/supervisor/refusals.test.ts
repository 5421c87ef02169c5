import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ObjectStatus } from '#api/node.ts';
import { createRefusalReporter } from './refusals.ts';

const object = (reason = '', warning = false): ObjectStatus => ({
  ...{ kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'a', file: '/mesh/a.yaml', line: 1 },
  accepted: reason === '' || warning,
  ...{ endpoints: 1, revision: 2 },
  problems: reason === '' ? [] : [{ file: '/mesh/a.yaml', line: 4, field: 'spec.x', reason, warning }],
});

const REFUSED = 'Refused: /mesh/a.yaml:4: spec.x: unknown field';

test('`createRefusalReporter` tells of a refusal once, of another one, and when it is over', () => {
  const report = createRefusalReporter();
  const steps: readonly { objects: ObjectStatus[]; lines: string[] }[] = [
    { objects: [object()], lines: [] },
    { objects: [object('is ignored', true)], lines: [] },
    { objects: [object('unknown field')], lines: [REFUSED] },
    { objects: [object('unknown field')], lines: [] },
    { objects: [object('not a number')], lines: ['Refused: /mesh/a.yaml:4: spec.x: not a number'] },
    { objects: [object()], lines: ['Accepted again: /mesh/a.yaml'] },
    { objects: [object()], lines: [] },
    { objects: [{ ...object('unknown field'), kind: 'File', name: '' }], lines: [REFUSED] },
    { objects: [], lines: ['No longer there: /mesh/a.yaml, which was refused'] },
  ];
  for (const { objects, lines } of steps) assert.deepEqual(report(objects), lines);
});

test('`createRefusalReporter` names a refused object that gives no reason', () => {
  const lines = createRefusalReporter()([{ ...object(), accepted: false }]);
  assert.deepEqual(lines, ['Refused: /mesh/a.yaml:1: CiliumNetworkPolicy a']);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderTable } from './table.ts';

test('`renderTable` aligns columns, gives lists a line for each item, and shows what is empty', () => {
  const rows = [
    { name: 'a', policyIngress: 'Enabled', labels: ['x=1', 'y=2'] },
    { name: 'longer', policyIngress: null, labels: [] },
  ];
  assert.equal(
    renderTable(['name', 'policyIngress', 'labels'], rows),
    [
      'NAME     POLICY (ingress)   LABELS (source:key[=value])',
      'a        Enabled            x=1',
      '                            y=2',
      'longer   -                  -',
      '',
    ].join('\n'),
  );
});

test('`renderTable` keeps control characters from the terminal, and shows zero', () => {
  assert.equal(
    renderTable(['restarts', 'message'], [{ restarts: 0, message: '\x1b[2J' }]),
    'RESTARTS   MESSAGE\n0          \\x1b[2J\n',
  );
});

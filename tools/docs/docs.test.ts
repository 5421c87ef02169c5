import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counter, Histogram, Registry } from 'prom-client';
import { ERRORS } from '#common/errors.ts';
import { renderErrors } from './errors.ts';
import { renderMetrics } from './metrics.ts';
import { registeredBy } from './registered.ts';

test('renderErrors has a section for every code', () => {
  const text = renderErrors();
  for (const [code, { remedy }] of Object.entries(ERRORS))
    assert.ok(text.includes(`## ${code}\n`) && text.includes(remedy));
});

test('registeredBy sees what is made meanwhile and nothing after', async () => {
  const registers = [new Registry()];
  const found = await registeredBy(() => {
    new Counter({ name: 'a_total', help: 'A.', labelNames: ['x', 'y'], registers });
    new Histogram({ name: 'b_seconds', help: 'B.', registers });
  });
  new Counter({ name: 'late_total', help: 'Late.', registers });
  assert.deepEqual(found, [
    { name: 'a_total', help: 'A.', labels: ['x', 'y'], type: 'counter' },
    { name: 'b_seconds', help: 'B.', labels: [], type: 'histogram' },
  ]);
});

test('renderMetrics sorts by name and keeps the table whole', () => {
  const metric = (name: string): Parameters<typeof renderMetrics>[0][0]['metrics'][0] => ({
    name,
    help: 'a | b',
    type: 'gauge',
    labels: ['l'],
  });
  const text = renderMetrics([{ program: 'P', endpoint: 'E', metrics: [metric('z'), metric('a')] }]);
  assert.match(text, /\| `a` \| gauge \| `l` \| a \\\| b \|\n\| `z` /);
});

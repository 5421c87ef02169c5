import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDuration, parseTime } from './duration.ts';

test('`parseDuration` reads numbers with units', () => {
  const cases = [
    { text: '90s', ms: 90_000 },
    { text: '1h30m', ms: 5_400_000 },
    { text: '1.5s', ms: 1_500 },
    { text: '250ms', ms: 250 },
    { text: '2d', ms: 172_800_000 },
  ];
  for (const { text, ms } of cases) assert.deepEqual(parseDuration(text), { ok: true, value: ms });
  for (const text of ['', '5', 'm', '-5m', '5 m', '5w']) assert.equal(parseDuration(text).ok, false, text);
});

test('`parseTime` reads durations back from now, and points in time', () => {
  const cases = [
    { text: '5s', ms: 95_000 },
    { text: '1970-01-01T00:01:00Z', ms: 60_000 },
    { text: '1970-01-01T01:01:00.5+01:00', ms: 60_500 },
  ];
  for (const { text, ms } of cases) assert.deepEqual(parseTime(text, 100_000), { ok: true, value: ms });
  for (const text of ['yesterday', '12', '1970-13-01T00:00:00Z']) assert.equal(parseTime(text, 0).ok, false, text);
});

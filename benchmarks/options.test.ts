import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FIGURES, PEERS, POLICY_FIGURES, readBenchOptions } from './options.ts';

const read = (...argv: string[]) => readBenchOptions(argv, '/results');

test('readBenchOptions without options measures everything', () => {
  assert.deepEqual(read(), {
    ok: true,
    value: {
      figures: FIGURES,
      peers: PEERS,
      rounds: 5,
      seconds: 5,
      policyChanges: 200,
      changes: 500,
      report: 'latest',
      profileDir: undefined,
      outDir: '/results',
    },
  });
});

const policyRuns = [
  { argv: ['policy'], figures: POLICY_FIGURES },
  { argv: ['policy', '--only', 'policy-start'], figures: ['policy-start'] },
  { argv: ['--only', 'policy-packets'], figures: ['policy-packets'] },
];
for (const { argv, figures: wanted } of policyRuns) {
  test(`readBenchOptions gives ${argv.join(' ')} a report of its own`, () => {
    const options = read(...argv);
    assert.ok(options.ok && options.value !== 'help');
    const { figures, peers, rounds, report } = options.value;
    assert.deepEqual(
      { figures, peers, rounds, report },
      { figures: wanted, peers: ['no mesh', 'weir'], rounds: 7, report: 'policy' },
    );
  });
}

test('readBenchOptions takes choices, in its own order', () => {
  const options = read('--quick', '--only', 'tcp', '--only', 'l7', '--peers', 'weir,no mesh', '--rounds', '3');
  assert.ok(options.ok && options.value !== 'help');
  const { figures, peers, rounds, seconds, outDir } = options.value;
  assert.deepEqual(
    { figures, peers, rounds, seconds, outDir },
    { figures: ['l7', 'tcp'], peers: ['no mesh', 'weir'], rounds: 3, seconds: 1, outDir: undefined },
  );
});

const wrong = [
  { argv: ['--only', 'l8'], says: /Cannot choose figure "l8": there is memory, l7/ },
  { argv: ['--peers', 'nginx,traefik'], says: /Cannot choose peer "traefik"/ },
  { argv: ['--rounds', '0'], says: /--rounds "0"/ },
  { argv: ['--seconds', 'x'], says: /--seconds "x"/ },
  { argv: ['--fast'], says: /Cannot read options/ },
  { argv: ['l7'], says: /Cannot choose group "l7": there is policy/ },
];
for (const { argv, says } of wrong) {
  test(`readBenchOptions refuses ${argv.join(' ')}`, () => {
    const options = read(...argv);
    assert.ok(!options.ok);
    assert.match(options.error, says);
  });
}

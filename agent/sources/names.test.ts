import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { formatAddress } from '#common/ip.ts';
import { createTables } from '../tables.ts';
import { readNames, watchNames } from './names.ts';

for (const { text, reason } of [
  { text: '{', reason: /./ },
  { text: 'a.b', reason: /must map each name to a list of addresses/ },
  { text: 'a.b: 10.0.0.1', reason: /must map each name/ },
  { text: 'a.b: [10.0.0]', reason: /a\.b: "10\.0\.0" is no address/ },
]) {
  test(`readNames refuses ${text}`, () => {
    const rows = readNames(text);
    assert.ok(!rows.ok);
    assert.match(rows.error, reason);
  });
}

test('watchNames follows its file, and keeps what was in force while it is broken', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'weir-names-'));
  const path = join(directory, 'names.yaml');
  const table = createTables().inputs.names;
  const save = (text: string): void => {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  };
  const held = (): unknown => [...table.values()].map(({ name, addresses }) => [name, addresses.map(formatAddress)]);
  const until = async (holds: () => boolean): Promise<void> => {
    for (let waited = 0; !holds() && waited < 5_000; waited += 20) await sleep(20);
  };
  const source = watchNames(path, table);
  try {
    assert.deepEqual(held(), []);
    save('API.example.com.: [192.0.2.1, "fd00::1"]\n');
    await until(() => table.size > 0);
    assert.deepEqual(held(), [['api.example.com', ['192.0.2.1', 'fd00::1']]]);
    save('api.example.com: [here]\n');
    await until(() => source.problem() !== undefined);
    assert.match(source.problem() ?? '', /"here" is no address/);
    assert.equal(table.size, 1);
    rmSync(path);
    await until(() => table.size === 0);
    assert.deepEqual([held(), source.problem()], [[], undefined]);
  } finally {
    source.close();
    rmSync(directory, { recursive: true });
  }
});

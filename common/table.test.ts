import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Change, createTable } from './table.ts';

test('createTable tells subscribers of new, changed and deleted rows, and of nothing else', () => {
  const table = createTable<{ readonly n: number }>('numbers');
  const seen: Change<{ readonly n: number }>[] = [];
  const [one, two] = [{ n: 1 }, { n: 2 }];
  const stop = table.subscribe((change) => void seen.push(change));
  table.set('a', one);
  table.set('a', one); // the same row
  table.set('a', two);
  table.delete('a');
  table.delete('a'); // gone already
  assert.deepEqual(seen, [
    { key: 'a', before: undefined, after: one },
    { key: 'a', before: one, after: two },
    { key: 'a', before: two, after: undefined },
  ]);
  stop();
  table.set('b', one);
  assert.equal(seen.length, 3);
  assert.equal(table.get('b'), one);
  assert.equal(table.size, 1);
});

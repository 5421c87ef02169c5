import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOSS_DROP_EVENT, LOSS_KINDS, LOSS_POLICY_COUNTER } from '#bpf/abi.ts';
import { components, type Parts } from './providers.ts';

function partsWith(losses: Readonly<Record<number, bigint>>): Parts {
  const datapath = { losses: () => Array.from({ length: LOSS_KINDS }, (_, kind) => losses[kind] ?? 0n) };
  const late = { source: { problem: () => undefined } };
  const quiet = { sync: { pending: () => ({}) }, compute: { problems: () => [] }, node: { problem: () => undefined } };
  return { datapath, ...quiet, late } as unknown as Parts; // what components() does not ask for is left out
}

test('`components` tell what the kernel programs found no room for, and not what is left out on purpose', () => {
  const kernel = (losses: Readonly<Record<number, bigint>>) =>
    components(partsWith(losses)).find(({ name }) => name === 'kernel');
  assert.deepEqual(kernel({ [LOSS_DROP_EVENT]: 9n }), { name: 'kernel', state: 'ok', message: '' });
  assert.equal(kernel({ [LOSS_POLICY_COUNTER]: 5n })?.message, 'lost for want of room: 5 policy_counter');
});

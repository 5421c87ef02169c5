import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Cidr, formatCidr, parseCidr } from '#common/ip.ts';
import { createPrefixTree } from './prefix-tree.ts';

function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  assert.ok(parsed.ok, text);
  return parsed.value;
}

test('a prefix that joins two others has no bits of theirs', () => {
  const prefixes = ['192.0.2.10/32', '192.0.2.128/25', '192.0.2.0/24', 'fd00::1:2/128', 'fd00::3:4/128', 'fd00::/64'];
  const tree = createPrefixTree();
  for (const text of prefixes) tree.add(cidr(text), 'x');
  assert.deepEqual([...tree.below(cidr('::/0'))].map(formatCidr).sort(), [...prefixes].sort());
});

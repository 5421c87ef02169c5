import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Matrix, MatrixCell } from '#agent/explain/matrix.ts';
import { renderSvg } from './matrix-svg.ts';
import { cellWord, renderMatrix } from './matrix-text.ts';

const CELL: MatrixCell = { from: 'n/a', to: 'n/b', port: '80/TCP', verdict: 'allow', policies: [], parsers: [] };

function matrixOf(ends: number, cells: readonly MatrixCell[] = []): Matrix {
  const names = Array.from({ length: ends }, (_, i) => `n/${String.fromCharCode(97 + i)}`);
  return {
    ends: names.map((name, identity) => ({ name, pods: [name], identity, audit: false })),
    ports: ['80/TCP'],
    cells,
    morePorts: [],
  };
}

test('`cellWord` says who refuses', () => {
  const cases: [Partial<MatrixCell> | undefined, string][] = [
    [undefined, '.'],
    [{}, 'allow'],
    [{ verdict: 'redirect', parsers: ['kafka'] }, 'kafka'],
    [{ verdict: 'redirect' }, 'proxy'],
    [{ verdict: 'audit', ingress: 'audit' }, 'audit'],
    [{ verdict: 'deny', egress: 'deny', ingress: 'allow' }, 'deny(out)'],
    [{ verdict: 'deny', egress: 'redirect', ingress: 'deny' }, 'deny(in)'],
    [{ verdict: 'deny', egress: 'deny', ingress: 'deny' }, 'deny'],
    [{ verdict: 'deny', egress: 'deny' }, 'deny(out)'],
  ];
  for (const [change, word] of cases) assert.equal(cellWord(change && { ...CELL, ...change }), word);
});

test('`renderMatrix` numbers columns that would be too wide, and says what it leaves out', () => {
  assert.equal(
    renderMatrix(matrixOf(2, [CELL])),
    '80/TCP: from   n/a   n/b\nn/a            .     allow\nn/b            .     .\n',
  );
  const wide = renderMatrix({ ...matrixOf(15, [{ ...CELL, verdict: 'deny', ingress: 'deny' }]), morePorts: ['9/UDP'] });
  assert.match(wide, /^80\/TCP: from +1 +2 +3 /);
  assert.match(wide, /^1 n\/a +\. +i +\. /m);
  assert.match(wide, /^\+ allowed, L7 request by request/m);
  assert.match(wide, /^Not shown: 9\/UDP \(choose with --ports\)$/m);
  assert.equal(renderMatrix(matrixOf(0)), 'No pod has a policy here.\n');
});

test('`renderSvg` draws one grid for each port, with a title on every cell', () => {
  const denied: MatrixCell = { ...CELL, verdict: 'deny', egress: 'deny', policies: ['NetworkPolicy n/<p> & "q"'] };
  const svg = renderSvg(matrixOf(2, [denied]));
  assert.match(svg, /^<svg [^>]*width="\d+(\.\d)?" height="\d+(\.\d)?"[^>]*>\n[\s\S]*<\/svg>\n$/);
  assert.equal(svg.match(/<title>/g)?.length, 4);
  assert.match(svg, /<title>n\/a to n\/b, 80\/TCP: deny by NetworkPolicy n\/&lt;p&gt; &amp; &quot;q&quot;<\/title>/);
  assert.match(svg, />deny out<\/text>/);
  assert.equal(svg.match(/<g>/g)?.length, svg.match(/<\/title>/g)?.length);
  const small = renderSvg({ ...matrixOf(26, [denied]), ports: ['80/TCP', '81/TCP'] });
  assert.match(small, /rotate\(-65 /);
  assert.equal(small.match(/font-size="16" font-weight="bold"/g)?.length, 2);
});

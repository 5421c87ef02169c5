// A verdict matrix as text: one table for each port.

import type { Matrix, MatrixCell } from '#agent/explain/matrix.ts';
import { renderTable, type TableRow } from '../table.ts';

/** Columns have the receivers' names up to this width; wider tables have numbers, and letters for verdicts. */
const MAX_WIDTH = 120;
/** Width of the longest verdict. */
const WORD_WIDTH = 9;
const GAP = 3;

const LETTERS =
  '+ allowed, L7 request by request, a passes in audit mode, o refused by the sender, i by the receiver, b by both\n';

/** The matrix for people. */
export function renderMatrix(matrix: Matrix): string {
  if (matrix.ends.length === 0) return 'No pod has a policy here.\n';
  const names = matrix.ends.map((end) => (end.pods.length > 1 ? `${end.name} (${end.pods.length})` : end.name));
  const longest = Math.max(0, ...names.map((name) => name.length));
  const width = names.reduce((sum, name) => sum + GAP + Math.max(name.length, WORD_WIDTH), longest);
  const isWide = width > MAX_WIDTH;
  const parts = matrix.ports.map((port) => portTable(matrix, port, { names, isWide }));
  if (isWide) parts.push(LETTERS);
  if (matrix.morePorts.length > 0) {
    parts.push(`Not shown: ${matrix.morePorts.join(', ')} (choose with --ports)\n`);
  }
  return parts.join('\n');
}

function portTable(
  { ends, cells }: Matrix,
  port: string,
  { names, isWide }: { readonly names: readonly string[]; readonly isWide: boolean },
): string {
  const columns = ends.map((_, index) => (isWide ? String(index + 1) : (names[index] ?? '')));
  const own = cells.filter((cell) => cell.port === port);
  const byPair = new Map(own.map((cell) => [`${cell.from} ${cell.to}`, cell]));
  const title = `${port}: from`;
  const rows = ends.map((from, row): TableRow => {
    const name = isWide ? `${row + 1} ${names[row]}` : (names[row] ?? '');
    const verdicts = ends.map((to, column): [string, string] => {
      const cell = byPair.get(`${from.name} ${to.name}`);
      return [columns[column] ?? '', isWide ? cellLetter(cell) : cellWord(cell)];
    });
    return Object.fromEntries([[title, name], ...verdicts]);
  });
  return renderTable([title, ...columns], rows, { plainHeaders: true });
}

/** "allow", "http", "audit", "deny(in)". */
export function cellWord(cell: MatrixCell | undefined): string {
  if (cell === undefined) return '.';
  if (cell.verdict !== 'deny') return cell.verdict === 'redirect' ? (cell.parsers[0] ?? 'proxy') : cell.verdict;
  if (cell.egress !== 'deny') return 'deny(in)';
  return cell.ingress === 'deny' ? 'deny' : 'deny(out)';
}

function cellLetter(cell: MatrixCell | undefined): string {
  if (cell === undefined) return '.';
  if (cell.verdict !== 'deny') return { allow: '+', redirect: 'L7', audit: 'a' }[cell.verdict];
  if (cell.egress !== 'deny') return 'i';
  return cell.ingress === 'deny' ? 'b' : 'o';
}

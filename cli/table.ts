// Rows as text: aligned columns, JSON or YAML.

import { printable } from '#observe/flow/text.ts';

export type Cell = string | number | boolean | null | undefined | readonly (string | number)[];
export type TableRow = Readonly<Record<string, Cell>>;

/** Headers that differ from the field's name in capitals. */
const HEADERS: Readonly<Record<string, string>> = {
  policyIngress: 'POLICY (ingress)',
  policyEgress: 'POLICY (egress)',
  labels: 'LABELS (source:key[=value])',
  ipv6: 'IPv6',
  ipv4: 'IPv4',
  clusterIp: 'CLUSTER-IP',
  ports: 'PORT(S)',
};

const GAP = '   ';

/**
 * Aligned columns under a header, each line ended. A list in a cell takes a line for each item. Headers are the columns'
 * names in capitals; `plainHeaders` leaves them as they are.
 */
export function renderTable(
  columns: readonly string[],
  rows: readonly TableRow[],
  options: { readonly plainHeaders?: boolean } = {},
): string {
  const header = columns.map((column) => [options.plainHeaders ? column : (HEADERS[column] ?? headerOf(column))]);
  const cells = [header, ...rows.map((row) => columns.map((column) => cellLines(row[column])))];
  const widths = columns.map((_, i) =>
    Math.max(...cells.map((row) => Math.max(...(row[i] ?? ['']).map((text) => text.length)))),
  );
  const lines: string[] = [];
  for (const row of cells) {
    const height = Math.max(1, ...row.map((cell) => cell.length));
    for (let line = 0; line < height; line++) {
      const texts = row.map((cell, i) => (cell[line] ?? '').padEnd(widths[i] ?? 0));
      lines.push(texts.join(GAP).trimEnd());
    }
  }
  return `${lines.join('\n')}\n`;
}

function headerOf(column: string): string {
  return column.replace(/[A-Z]/g, (letter) => `-${letter}`).toUpperCase();
}

function cellLines(cell: Cell): string[] {
  if (cell === null || cell === undefined || cell === '') return ['-'];
  if (Array.isArray(cell)) return cell.length === 0 ? ['-'] : cell.map((item) => printable(String(item)));
  return [printable(String(cell))];
}

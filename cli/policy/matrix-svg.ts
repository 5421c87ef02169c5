// A verdict matrix as a picture: a grid for each port, rows send and columns receive.

import type { Matrix, MatrixCell } from '#agent/explain/matrix.ts';

/** Width that grids are laid out in; a single grid may be wider. */
const PAGE_WIDTH = 1400;
const MARGIN = 24;
const GAP = 40;
const TITLE_HEIGHT = 34;
const LEGEND_HEIGHT = 44;
const LEGEND_BOX = 64;
const FONT = 13;
/** Average width of a character of this font. */
const CHARACTER = 7.2;
const MAX_LABEL = 40;
const CELL = { width: 66, height: 30 } as const;
/** Cells with a letter instead of a word, when there are many ends. */
const SMALL_CELL = { width: 18, height: 18 } as const;
const SMALL_FROM = 25;
/** Slope of the column labels; narrow columns need it steeper. */
const SLOPE_DEGREES = { wide: 45, narrow: 65 } as const;

/** Colour and word of a cell; every verdict is told by its word too, for those who do not see the colour. */
const STYLES = {
  allow: { fill: '#cfe8cf', ink: '#14532d', word: 'allow', letter: '' },
  redirect: { fill: '#fde9b8', ink: '#7a4a00', word: 'proxy', letter: 'L7' },
  audit: { fill: '#d9e4f5', ink: '#1e3a8a', word: 'audit', letter: 'a' },
  'deny-out': { fill: '#f6cfcf', ink: '#7f1d1d', word: 'deny out', letter: 'o' },
  'deny-in': { fill: '#f6cfcf', ink: '#7f1d1d', word: 'deny in', letter: 'i' },
  'deny-both': { fill: '#eda9a9', ink: '#7f1d1d', word: 'deny both', letter: 'b' },
  none: { fill: '#eeeeee', ink: '#777777', word: '', letter: '' },
} as const;

const LEGEND: readonly (readonly [keyof typeof STYLES, string])[] = [
  ['allow', 'allowed'],
  ['redirect', 'request by request'],
  ['audit', 'denied, and passes in audit mode'],
  ['deny-out', "refused by the sender's egress policy"],
  ['deny-in', "refused by the receiver's ingress policy"],
  ['deny-both', 'refused by both'],
  ['none', 'itself, or not decided here'],
];

interface Grid {
  readonly port: string;
  readonly x: number;
  readonly y: number;
}

/** The matrix as an SVG document of its own. */
export function renderSvg(matrix: Matrix): string {
  const labels = matrix.ends.map((end) => shorten(end.pods.length > 1 ? `${end.name} (${end.pods.length})` : end.name));
  const size = sizesOf(labels);
  const perRow = Math.max(1, Math.floor((PAGE_WIDTH - 2 * MARGIN + GAP) / (size.width + GAP)));
  const top = MARGIN + TITLE_HEIGHT + 10;
  const grids = matrix.ports.map(
    (port, index): Grid => ({
      port,
      x: MARGIN + (index % perRow) * (size.width + GAP),
      y: top + Math.floor(index / perRow) * (size.height + GAP),
    }),
  );
  const columns = Math.min(perRow, Math.max(1, grids.length));
  const legend = legendWidth();
  const width = Math.max(2 * MARGIN + columns * size.width + (columns - 1) * GAP, 2 * MARGIN + legend);
  const bottom = top + Math.ceil(grids.length / perRow) * (size.height + GAP) - GAP;
  const height = bottom + LEGEND_HEIGHT + MARGIN;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${round(width)}" height="${round(height)}" viewBox="0 0 ${round(width)} ${round(height)}" font-family="'DejaVu Sans', 'Segoe UI', Arial, sans-serif" font-size="${FONT}">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    text({ x: MARGIN, y: MARGIN + 16, size: 18, weight: 'bold' }, 'Who may reach whom'),
    text({ x: MARGIN, y: MARGIN + 34, ink: '#555555' }, 'rows send, columns receive'),
    ...grids.map((grid) => drawGrid(matrix, grid, { labels, size })),
    drawLegend(bottom + 34, size.cell === SMALL_CELL),
    '</svg>',
  ];
  return `${parts.join('\n')}\n`;
}

interface Sizes {
  readonly cell: { readonly width: number; readonly height: number };
  readonly degrees: number;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

function sizesOf(labels: readonly string[]): Sizes {
  const cell = labels.length >= SMALL_FROM ? SMALL_CELL : CELL;
  const longest = Math.max(1, ...labels.map((label) => label.length)) * CHARACTER;
  const degrees = cell === SMALL_CELL ? SLOPE_DEGREES.narrow : SLOPE_DEGREES.wide;
  const slope = (degrees * Math.PI) / 180;
  const left = longest + 12;
  const top = TITLE_HEIGHT + longest * Math.sin(slope) + FONT;
  // Sloping labels may reach beyond the last column.
  const ends = labels.map((label, index) => (index + 0.5) * cell.width + label.length * CHARACTER * Math.cos(slope));
  return {
    cell,
    degrees,
    left,
    top,
    width: left + Math.max(labels.length * cell.width, ...ends) + FONT,
    height: top + labels.length * cell.height,
  };
}

function drawGrid(
  matrix: Matrix,
  grid: Grid,
  { labels, size }: { readonly labels: readonly string[]; readonly size: Sizes },
): string {
  const { cell, left, top } = size;
  const isSmall = cell === SMALL_CELL;
  const cells = new Map(
    matrix.cells.filter((one) => one.port === grid.port).map((one) => [`${one.from} ${one.to}`, one]),
  );
  const parts = [text({ x: 0, y: 18, size: 16, weight: 'bold' }, grid.port)];
  labels.forEach((label, index) => {
    const x = left + (index + 0.5) * cell.width;
    const turn = `rotate(${-size.degrees} ${round(x)} ${round(top - 6)})`;
    parts.push(text({ x, y: top - 6, transform: turn }, label));
    const y = top + (index + 0.5) * cell.height + FONT / 3;
    parts.push(text({ x: left - 8, y, anchor: 'end' }, label));
  });
  matrix.ends.forEach((from, row) => {
    matrix.ends.forEach((to, column) => {
      const found = cells.get(`${from.name} ${to.name}`);
      const style = STYLES[styleOf(found)];
      const x = round(left + column * cell.width);
      const y = round(top + row * cell.height);
      const word = found?.verdict === 'redirect' ? (found.parsers[0] ?? style.word) : style.word;
      const shown = isSmall ? style.letter : word;
      const middle = { x: x + cell.width / 2, y: y + cell.height / 2 + 4, anchor: 'middle', ink: style.ink };
      parts.push(
        `<g><title>${escapeText(titleOf(found, `${from.name} to ${to.name}`))}</title>`,
        `<rect x="${x + 1}" y="${y + 1}" width="${cell.width - 2}" height="${cell.height - 2}" rx="3" fill="${style.fill}"/>`,
        shown === '' ? '' : text({ ...middle, size: isSmall ? 10 : 12 }, shown),
        '</g>',
      );
    });
  });
  return `<g transform="translate(${round(grid.x)} ${round(grid.y)})">\n${parts.filter(Boolean).join('\n')}\n</g>`;
}

function styleOf(cell: MatrixCell | undefined): keyof typeof STYLES {
  if (cell === undefined) return 'none';
  if (cell.verdict !== 'deny') return cell.verdict;
  if (cell.egress !== 'deny') return 'deny-in';
  return cell.ingress === 'deny' ? 'deny-both' : 'deny-out';
}

function titleOf(cell: MatrixCell | undefined, pair: string): string {
  if (cell === undefined) return pair;
  const by = cell.policies.length === 0 ? '' : ` by ${cell.policies.join(', ')}`;
  return `${pair}, ${cell.port}: ${cell.verdict}${by}`;
}

function drawLegend(y: number, isSmall: boolean): string {
  let x = MARGIN;
  const parts: string[] = [];
  for (const [name, meaning] of LEGEND) {
    const { fill, ink, word, letter } = STYLES[name];
    parts.push(
      `<rect x="${round(x)}" y="${round(y - 15)}" width="${LEGEND_BOX}" height="20" rx="3" fill="${fill}"/>`,
      text({ x: x + LEGEND_BOX / 2, y, anchor: 'middle', size: 12, ink }, isSmall ? letter : word),
      text({ x: x + LEGEND_BOX + 8, y }, meaning),
    );
    x += legendItemWidth(meaning);
  }
  return parts.join('\n');
}

function legendItemWidth(meaning: string): number {
  return LEGEND_BOX + 8 + meaning.length * CHARACTER + 18;
}

function legendWidth(): number {
  return LEGEND.reduce((sum, [, meaning]) => sum + legendItemWidth(meaning), 0);
}

interface TextPlace {
  readonly x: number;
  readonly y: number;
  readonly size?: number;
  readonly weight?: string;
  readonly ink?: string;
  readonly anchor?: string;
  readonly transform?: string;
}

function text({ x, y, size, weight, ink, anchor, transform }: TextPlace, content: string): string {
  const attributes = Object.entries({
    x: round(x),
    y: round(y),
    'font-size': size,
    'font-weight': weight,
    fill: ink ?? '#222222',
    'text-anchor': anchor,
    transform,
  }).flatMap(([name, value]) => (value === undefined ? [] : [`${name}="${value}"`]));
  return `<text ${attributes.join(' ')}>${escapeText(content)}</text>`;
}

function shorten(label: string): string {
  return label.length <= MAX_LABEL ? label : `${label.slice(0, MAX_LABEL - 1)}…`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeText(content: string): string {
  const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return content.replace(/[&<>"]/g, (character) => entities[character] ?? character);
}

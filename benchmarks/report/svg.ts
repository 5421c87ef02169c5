// Results as a plot: a panel for each figure, a bar for each series (its median), a thin line from least to greatest value.

import type { FigureResult, Series } from '../result.ts';
import { median } from '../statistics.ts';
import { number } from './table.ts';

const WIDTH = 720;
const LABEL_WIDTH = 130;
const VALUE_WIDTH = 90;
const BAR = { height: 18, gap: 8 } as const;
const PANEL = { title: 34, gap: 18 } as const;
const COLOURS = { weir: '#0b7285', other: '#adb5bd', text: '#212529', range: '#495057' } as const;

/** A complete SVG document. */
export function plot(results: readonly FigureResult[], caption: string): string {
  let y = 56;
  const panels: string[] = [];
  for (const result of results) {
    panels.push(panel(result, y));
    y += PANEL.title + result.series.length * (BAR.height + BAR.gap) + PANEL.gap;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="#ffffff"/>
${text(16, 24, 'Weir benchmarks', 'font-size="17" font-weight="bold"')}
${text(16, 42, caption, 'font-size="11"')}
${panels.join('\n')}
</svg>
`;
}

function panel({ title, unit, series }: FigureResult, top: number): string {
  const greatest = Math.max(...series.flatMap(({ values }) => [...values]), Number.MIN_VALUE);
  const scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH - 32) / greatest;
  const bars = series.map((one, index) => bar(one, top + PANEL.title + index * (BAR.height + BAR.gap), scale));
  return [text(16, top + 22, `${title} (${unit})`, 'font-weight="bold"'), ...bars].join('\n');
}

function bar({ name, values }: Series, y: number, scale: number): string {
  const left = 16 + LABEL_WIDTH;
  const x = (value: number) => (left + value * scale).toFixed(1);
  const middle = median(values);
  const fill = name.startsWith('weir') ? COLOURS.weir : COLOURS.other;
  const parts = [
    text(16, y + 13, name),
    `<rect x="${left}" y="${y}" width="${(middle * scale).toFixed(1)}" height="${BAR.height}" fill="${fill}"/>`,
    text(left + Math.max(...values) * scale + 6, y + 13, number(middle)),
  ];
  if (values.length > 1) {
    const line = y + BAR.height / 2;
    parts.push(
      `<line x1="${x(Math.min(...values))}" x2="${x(Math.max(...values))}" y1="${line}" y2="${line}" stroke="${COLOURS.range}"/>`,
    );
  }
  return parts.join('\n');
}

function text(x: number, y: number, content: string, attributes = ''): string {
  const escaped = content.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);
  return `<text x="${x.toFixed(1)}" y="${y}" fill="${COLOURS.text}" ${attributes}>${escaped}</text>`;
}

// Items arranged by the keys of the policy map that they speak of.

import { type L4, l4Key } from './l4.ts';
import type { Item, Part } from './rules.ts';

/** What an item says of one key. */
export interface Use {
  readonly item: Item;
  readonly part: Part;
}

export interface Cell {
  readonly l4: L4;
  readonly key: number;
  readonly uses: Use[];
}

export interface Cells {
  readonly size: number;
  /** Some item wants the proxy. */
  readonly wantsProxy: boolean;
  values(): Iterable<Cell>;
  has(key: number): boolean;
  /** All uses that cover `l4`, those of wider keys included. */
  covering(l4: L4): readonly Use[];
}

const NOTHING: readonly Use[] = [];

/** Arranges items. The order in which they are given does not matter. */
export function createCells(items: Iterable<Item>): Cells {
  const cells = new Map<number, Cell>();
  const lengths = new Set<number>();
  const known = new Map<number, readonly Use[]>();
  let wantsProxy = false;
  for (const item of items) {
    for (const part of item.parts) {
      const key = l4Key(part.l4);
      const cell = cells.get(key);
      if (cell) cell.uses.push({ item, part });
      else cells.set(key, { l4: part.l4, key, uses: [{ item, part }] });
      lengths.add(part.l4.bits);
      wantsProxy ||= part.kind === 'refuse' || part.kind === 'redirect';
    }
  }
  const bits = [...lengths].sort((a, b) => a - b);
  const collect = (l4: L4): readonly Use[] => {
    const found = bits
      .filter((length) => length <= l4.bits)
      .map((length) => cells.get(l4Key(shortened(l4, length)))?.uses ?? NOTHING)
      .filter((uses) => uses.length > 0);
    return found.length === 1 ? (found[0] as readonly Use[]) : found.flat();
  };
  return {
    size: cells.size,
    wantsProxy,
    values: () => cells.values(),
    has: (key) => cells.has(key),
    covering(l4) {
      if (cells.size === 0) return NOTHING;
      const key = l4Key(l4);
      let uses = known.get(key);
      if (!uses) {
        uses = collect(l4);
        known.set(key, uses);
      }
      return uses;
    },
  };
}

function shortened({ protocol, port }: L4, bits: number): L4 {
  if (bits === 0) return { protocol: 0, port: 0, bits };
  if (bits === 8) return { protocol, port: 0, bits };
  return { protocol, port: (port >> (24 - bits)) << (24 - bits), bits };
}

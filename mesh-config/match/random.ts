// Seeded random values for tests: the same seed gives the same cases.

export interface Random {
  /** A whole number from 0 to below `limit`. */
  below(limit: number): number;
  pick<T>(from: readonly T[]): T;
  chance(probability: number): boolean;
}

/** Mulberry32. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    below,
    pick(from) {
      const value = from[below(from.length)];
      if (value === undefined) throw new Error('Cannot pick from an empty list: nothing in it');
      return value;
    },
    chance: (probability) => next() < probability,
  };
}

const ATOMS = [
  ...[
    'a',
    'b',
    'c',
    '/',
    '1',
    '_',
    ' ',
    'é',
    'K',
    's',
    '.',
    '.',
    '[ab]',
    '[^a]',
    '[a-c1-3]',
    '[[:alpha:]]',
    '[[:^digit:]]',
  ],
  ...['\\d', '\\w', '\\W', '\\s', '\\S', '\\pN', '\\p{Greek}', '\\PL', '[^\\x00-\\x{10FFFF}]', '\\.', '\\/', '\\x61'],
  ...['\\Q.a\\E', '[é-ü]', '\\n', '\\C', '[\\d/]', '(?s:.)', '(?i:k)', '(?i:aB)', '(?P<n>a)', 'ſ', '😀', '[^/]'],
];
const ASSERTIONS = ['^', '$', '\\A', '\\z', '\\b', '\\B', '(?m:^)', '(?m:$)', '(?m)'];
const QUANTIFIERS = ['*', '+', '?', '*?', '+?', '??', '{2}', '{0,2}', '{1,3}?', '{2,}', '{0}'];

/** A regular expression of about `size` atoms; now and then one that is not valid. */
export function randomPattern(random: Random, size: number): string {
  if (size <= 1) {
    const atom = random.chance(0.15) ? random.pick(ASSERTIONS) : random.pick(ATOMS);
    return random.chance(0.35) ? `${atom}${random.pick(QUANTIFIERS)}` : atom;
  }
  const left = randomPattern(random, Math.floor(size / 2));
  const right = randomPattern(random, size - Math.floor(size / 2));
  const kind = random.below(10);
  if (kind < 6) return left + right;
  if (kind < 8) return `(?:${left}|${right})`;
  if (kind < 9) return `(${left}${right})${random.pick(QUANTIFIERS)}`;
  return `(?i)${left}|${right}`;
}

const CHARACTERS = ['a', 'b', 'c', 'A', 'B', '/', '1', '2', '_', ' ', '\n', '.', 'k', 'K', 's', 'S', 'x'];
const WIDE = ['é', 'ü', 'ſ', '\u212a', 'α', '٣', '😀', '\ufffd', '\u0000', '\u007f', '\u0080', '\uffff'];

/** A text of up to `length` characters; one in four has some that are not ASCII. */
export function randomText(random: Random, length: number): string {
  const wide = random.chance(0.25);
  let text = '';
  for (let n = random.below(length + 1); n > 0; n--) {
    text += wide && random.chance(0.3) ? random.pick(WIDE) : random.pick(CHARACTERS);
  }
  return text;
}

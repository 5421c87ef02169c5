// Lists of policy names by number, so that a record carries a number.

export interface PolicyLists {
  /** The number of a list; 0 is the empty one. */
  numberOf(names: readonly string[]): number;
  /** Forgets all lists but these: their numbers will be in no record that begins from now on. */
  retain(numbers: ReadonlySet<number>): void;
}

export interface PolicyListsOptions {
  /** A list has this number now. */
  announce(number: number, names: readonly string[]): void;
  /** No record that begins from now on will have these numbers. */
  retire(numbers: readonly number[]): void;
}

/**
 * Numbers policy lists from 1. Its bound is that of the rules in force, whose lists it keeps. No number is used twice, so
 * that a record keeps its meaning however late it is read; throws after 2^32 - 1 lists.
 */
export function createPolicyLists({ announce, retire }: PolicyListsOptions): PolicyLists {
  const numbers = new Map<string, number>();
  let last = 0;
  return {
    numberOf(names) {
      const sorted = [...new Set(names)].filter((name) => name !== '').sort();
      if (sorted.length === 0) return 0;
      const key = sorted.join('\n');
      const known = numbers.get(key);
      if (known !== undefined) return known;
      if (last === 0xffff_ffff) throw new Error('Cannot number list of policies: all numbers are used');
      numbers.set(key, ++last);
      announce(last, sorted);
      return last;
    },
    retain(kept) {
      const gone: number[] = [];
      for (const [key, number] of numbers) {
        if (kept.has(number)) continue;
        numbers.delete(key);
        gone.push(number);
      }
      if (gone.length > 0) retire(gone);
    },
  };
}

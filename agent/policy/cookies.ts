// Cookies: a number for the set of policies that stand behind an entry, so that a flow can name them.

import { type Cookie, cookie } from '#common/ids.ts';
import type { Table } from '#common/table.ts';
import type { Allocator } from '../identity/allocator.ts';
import type { CookieRow } from '../tables.ts';

export interface Cookies {
  /** The cookie of a sorted list of policies "namespace/name"; 0 for none, and when there is no number left. */
  acquire(policies: readonly string[]): Cookie;
  release(policies: readonly string[]): void;
  problems(): readonly string[];
}

/** Cookies whose rows are kept in `table` (key: decimal cookie). */
export function createCookies(table: Table<CookieRow>, allocator: Allocator<Cookie>): Cookies {
  let problem: string | undefined;
  return {
    acquire(policies) {
      if (policies.length === 0) return cookie(0);
      const number = allocator.acquire(policies.join(','));
      if (!number.ok) {
        problem = number.error;
        return cookie(0);
      }
      const row = String(number.value);
      if (!table.get(row)) table.set(row, { cookie: number.value, policies });
      return number.value;
    },
    release(policies) {
      const key = policies.join(',');
      const number = allocator.get(key);
      // Entries made while no number was left hold none.
      if (number === undefined || !table.get(String(number))) return;
      if (allocator.release(key)) table.delete(String(number));
    },
    problems: () => (problem ? [problem] : []),
  };
}

// Cookies: a number for the set of rules that stand behind an entry, so that a flow can name them.

import { createHash } from 'node:crypto';
import { type Cookie, cookie } from '#common/ids.ts';
import type { Table } from '#common/table.ts';
import type { Allocator } from '../identity/allocator.ts';
import type { CookieRow, RuleOrigin } from '../tables.ts';

export interface Cookies {
  /** The cookie of a sorted list of rules; 0 for none, and when there is no number left. */
  acquire(origins: readonly RuleOrigin[]): Cookie;
  release(origins: readonly RuleOrigin[]): void;
  problems(): readonly string[];
}

/** Longer keys are remembered by their digest. */
const MAX_KEY = 200;

/** Cookies whose rows are kept in `table` (key: decimal cookie). */
export function createCookies(table: Table<CookieRow>, allocator: Allocator<Cookie>): Cookies {
  let problem: string | undefined;
  return {
    acquire(origins) {
      if (origins.length === 0) return cookie(0);
      const number = allocator.acquire(keyOf(origins));
      if (!number.ok) {
        problem = number.error;
        return cookie(0);
      }
      const row = String(number.value);
      const before = table.get(row);
      if (!before || !samePlaces(before.rules, origins)) {
        const policies = [...new Set(origins.map((origin) => origin.policy))];
        table.set(row, { cookie: number.value, policies, rules: origins });
      }
      return number.value;
    },
    release(origins) {
      if (origins.length === 0) return;
      const key = keyOf(origins);
      const number = allocator.get(key);
      // Entries made while no number was left hold none.
      if (number === undefined || !table.get(String(number))) return;
      if (allocator.release(key)) table.delete(String(number));
    },
    problems: () => (problem ? [problem] : []),
  };
}

// Lines are not part of it: a rule that only moved within its file keeps its cookie.
function keyOf(origins: readonly RuleOrigin[]): string {
  const text = origins.map(({ policy, field }) => `${policy} ${field}`).join(',');
  return text.length <= MAX_KEY ? text : `#${createHash('sha256').update(text).digest('base64url')}`;
}

function samePlaces(a: readonly RuleOrigin[], b: readonly RuleOrigin[]): boolean {
  return a.length === b.length && a.every((x, i) => x.line === b[i]?.line && x.file === b[i]?.file);
}

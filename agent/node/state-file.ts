// Small JSON files that outlive their writer: whole or not at all.

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

/** Replaces the file at `path` by `value` in one step. */
export function writeState(path: string, value: unknown): void {
  const temporary = `${path}.tmp`;
  writeFileSync(temporary, JSON.stringify(value), { mode: 0o600 });
  renameSync(temporary, path);
}

/** What writeState() wrote, as the caller knows its own format; undefined if there is no file or no JSON in it. */
export function readState<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch {
    return undefined;
  }
}

/** Removes the file; none is fine. */
export function removeState(path: string): void {
  rmSync(path, { force: true });
}

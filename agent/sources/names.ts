// A file of names and their addresses, for policies with toFQDNs. It fills the same table as an observer of DNS would.

import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { parse } from 'yaml';
import { z } from 'zod';
import { parseAddress } from '#common/ip.ts';
import { err, ok, type Result } from '#common/result.ts';
import type { Table } from '#common/table.ts';
import type { NameRow } from '../tables.ts';

const schema = z.record(z.string(), z.array(z.string()));
const POLL_MS = 500;

export interface NamesSource {
  /** undefined, or why the file cannot be used; what was in force stays. */
  problem(): string | undefined;
  close(): void;
}

/** Reads names from the YAML or JSON in `text`: name to list of addresses. */
export function readNames(text: string): Result<ReadonlyMap<string, NameRow>, string> {
  let written: unknown;
  try {
    written = parse(text) ?? {};
  } catch (cause) {
    return err((cause as Error).message);
  }
  const parsed = schema.safeParse(written);
  if (!parsed.success) return err('a file of names must map each name to a list of addresses');
  const rows = new Map<string, NameRow>();
  for (const [written, texts] of Object.entries(parsed.data)) {
    const name = written.toLowerCase().replace(/\.$/, '');
    const addresses = [...(rows.get(name)?.addresses ?? [])];
    for (const text of texts) {
      const address = parseAddress(text);
      if (!address.ok) return err(`${name}: "${text}" is no address`);
      addresses.push(address.value);
    }
    rows.set(name, { name, addresses });
  }
  return ok(rows);
}

/** Keeps `table` as the file says, from now on. A file that is not there holds no names. */
export function watchNames(path: string, table: Table<NameRow>): NamesSource {
  let problem: string | undefined;
  const read = (): void => {
    const rows = readFile(path);
    problem = rows.ok ? undefined : `Cannot read names from "${path}": ${rows.error}`;
    if (!rows.ok) return;
    for (const [name] of [...table.entries()]) if (!rows.value.has(name)) table.delete(name);
    for (const [name, row] of rows.value) if (!isDeepStrictEqual(table.get(name), row)) table.set(name, row);
  };
  read();
  const timer = setInterval(read, POLL_MS);
  return { problem: () => problem, close: () => clearInterval(timer) };
}

function readFile(path: string): Result<ReadonlyMap<string, NameRow>, string> {
  try {
    return readNames(readFileSync(path, 'utf8'));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    return code === 'ENOENT' ? ok(new Map()) : err(message);
  }
}

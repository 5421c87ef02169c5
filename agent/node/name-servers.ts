// The servers that the node itself asks for names: its own policy never keeps it from them.

import { existsSync, readFileSync } from 'node:fs';
import { type Address, formatAddress, parseAddress } from '#common/ip.ts';
import type { Table } from '#common/table.ts';

export interface NameServerWatch {
  /** undefined, or why the file cannot be read; what was known stays. */
  problem(): string | undefined;
  close(): void;
}

/** Reading a few lines costs less than hearing of a file that others replace, or link to, as they like. */
const POLL_MS = 2_000;

/** The name servers of a resolv.conf(5); what is none is left out, as the resolver does. */
export function parseNameServers(text: string): Address[] {
  return text.split('\n').flatMap((line) => {
    const [keyword, server = ''] = line.trim().split(/\s+/);
    const ip = keyword === 'nameserver' ? parseAddress(server.replace(/%.*$/, '')) : undefined;
    return ip?.ok ? [ip.value] : [];
  });
}

/** Those of the namespace `netns` (a name below /run/netns): its own file as ip-netns(8) has it, or the machine's. */
export function readNameServers(netns: string): Address[] {
  const path = [`/etc/netns/${netns}/resolv.conf`, '/etc/resolv.conf'].find((file) => existsSync(file));
  return path === undefined ? [] : parseNameServers(readFileSync(path, 'utf8'));
}

/** Keeps `table` (key: the address as text) as the file says, from now on; while it names none, what was known stays. */
export function watchNameServers(netns: string, table: Table<Address>): NameServerWatch {
  let problem: string | undefined;
  const look = (): void => {
    try {
      const servers = new Map(readNameServers(netns).map((ip) => [formatAddress(ip), ip]));
      problem = undefined;
      if (servers.size === 0) return; // somebody is about to write the file, or to put another one there
      for (const key of [...table.entries()].map(([key]) => key)) if (!servers.has(key)) table.delete(key);
      for (const [key, ip] of servers) if (table.get(key) === undefined) table.set(key, ip);
    } catch (error) {
      problem = `Cannot read name servers: ${(error as Error).message}`;
    }
  };
  look();
  const timer = setInterval(look, POLL_MS);
  return { problem: () => problem, close: () => clearInterval(timer) };
}

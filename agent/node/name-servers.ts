// The servers that the node itself asks for names: its own policy never keeps it from them.

import { existsSync, readFileSync } from 'node:fs';
import { type Address, parseAddress } from '#common/ip.ts';

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

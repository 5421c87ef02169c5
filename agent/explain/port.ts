// Ports as people ask about them.

import { err, ok, type Result } from '#common/result.ts';
import { IP_PROTOCOL } from '../policy/l4.ts';

export type ProtocolName = keyof typeof IP_PROTOCOL;

/** A port, or an ICMP type, of one protocol. */
export interface Port {
  readonly protocol: ProtocolName;
  readonly port: number;
}

/** A port that is named as a container names it. */
export interface PortName {
  readonly protocol: ProtocolName;
  readonly name: string;
}

const PROTOCOLS: ReadonlyMap<string, ProtocolName> = new Map(
  (Object.keys(IP_PROTOCOL) as ProtocolName[]).map((name) => [name.toLowerCase(), name]),
);

/** Reads "80", "80/tcp", "http/TCP", "8/ICMP". */
export function parsePort(text: string): Result<Port | PortName, string> {
  const [, what = '', protocolText = 'TCP'] = /^([^/]+?)(?:\/([^/]+))?$/.exec(text) ?? [];
  const protocol = PROTOCOLS.get(protocolText.toLowerCase());
  if (what === '') return err(`port "${text}": write NUMBER, NAME or NUMBER/PROTOCOL`);
  if (protocol === undefined) {
    return err(`port "${text}": "${protocolText}" is none of ${[...PROTOCOLS.values()].join(', ')}`);
  }
  const isIcmp = protocol === 'ICMP' || protocol === 'ICMPv6';
  if (!/^\d+$/.test(what)) {
    return /^[a-z0-9-]{1,15}$/i.test(what) && !isIcmp
      ? ok({ protocol, name: what.toLowerCase() })
      : err(`port "${text}": "${what}" is no ${isIcmp ? 'ICMP type' : 'port'}`);
  }
  const port = Number(what);
  if (isIcmp ? port > 255 : port < 1 || port > 65_535) {
    return err(`port "${text}": must be from ${isIcmp ? '0 to 255' : '1 to 65535'}`);
  }
  return ok({ protocol, port });
}

/** "80/TCP"; of ICMP "type 8/ICMP". */
export function formatPort({ protocol, port }: Port): string {
  return protocol.startsWith('ICMP') ? `type ${port}/${protocol}` : `${port}/${protocol}`;
}

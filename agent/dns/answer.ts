// What the resolver answers: pure, a query's bytes in, a reply's bytes out.

import { AUTHORITATIVE_ANSWER, decode, encode, type Packet, type Question, TRUNCATED_RESPONSE } from 'dns-packet';
import { type Address, addressBytes, familyOf, formatAddress } from '#common/ip.ts';
import type { ReadonlyTable } from '#common/table.ts';
import { CLUSTER_DOMAIN } from '../layout.ts';
import type { DnsRow } from '../tables.ts';

export type Rcode = 'NOERROR' | 'FORMERR' | 'NXDOMAIN' | 'NOTIMP';
export type Transport = 'udp' | 'tcp';

export interface Reply {
  readonly rcode: Rcode;
  readonly bytes: Uint8Array;
}

/** Short, because a pod's addresses change. Seconds. */
const TTL = 5;
const HEADER_BYTES = 12;
const UDP_BYTES = 512;
const EDNS_BYTES = 1232; // what passes every path unfragmented
const RCODES: Readonly<Record<Rcode, number>> = { NOERROR: 0, FORMERR: 1, NXDOMAIN: 3, NOTIMP: 4 };
const RECURSION_DESIRED = 0x100;

/**
 * The reply to `query`. undefined: nothing may be answered (too short to have an id, or itself a reply). Names outside
 * the table do not exist; a name that exists without records of the type asked for has an empty answer (RFC 2308).
 */
export function answer(query: Uint8Array, names: ReadonlyTable<DnsRow>, transport: Transport): Reply | undefined {
  const bytes = Buffer.from(query.buffer, query.byteOffset, query.byteLength);
  if (bytes.length < HEADER_BYTES || (bytes.readUInt8(2) & 0x80) !== 0) return undefined;
  const id = bytes.readUInt16BE(0);
  if ((bytes.readUInt8(2) & 0x78) !== 0) return failure(id, 'NOTIMP');
  let packet: Packet;
  try {
    packet = decode(bytes);
  } catch {
    return failure(id, 'FORMERR');
  }
  const question = packet.questions?.[0];
  if (question === undefined || packet.questions?.length !== 1) return failure(id, 'FORMERR');
  const edns = packet.additionals?.find((record) => record.type === 'OPT');
  const limit = transport === 'tcp' ? 0xffff : Math.min(EDNS_BYTES, Math.max(UDP_BYTES, edns?.udpPayloadSize ?? 0));
  const found = records(question, names);
  const flags = (packet.flags ?? 0) & RECURSION_DESIRED;
  const reply: Packet = {
    id,
    type: 'response',
    flags: flags | AUTHORITATIVE_ANSWER | RCODES[found.rcode],
    questions: [question],
    answers: found.answers,
    additionals: [...found.additionals, ...(edns ? [optRecord()] : [])],
  };
  return { rcode: found.rcode, bytes: fit(reply, limit) };
}

type Records = NonNullable<Packet['answers']>;

function records(
  question: Question,
  names: ReadonlyTable<DnsRow>,
): { rcode: Rcode; answers: Records; additionals: Records } {
  const none = { answers: [], additionals: [] };
  const name = question.name.toLowerCase();
  if (question.class !== undefined && question.class !== 'IN') return { rcode: 'NXDOMAIN', ...none };
  if (question.type === 'PTR') return pointers(question.name, name, names);
  const row = names.get(name);
  // The apex of the zone exists, so that resolvers which probe it do not conclude that everything below is missing.
  if (row === undefined) return { rcode: name === CLUSTER_DOMAIN ? 'NOERROR' : 'NXDOMAIN', ...none };
  switch (question.type) {
    case 'A':
    case 'AAAA':
      return { rcode: 'NOERROR', answers: addressRecords(question.name, row, question.type), additionals: [] };
    case 'SRV':
      return {
        rcode: 'NOERROR',
        answers: row.srv.map((target) => ({
          type: 'SRV',
          name: question.name,
          ttl: TTL,
          data: { priority: 0, weight: 100, port: target.port, target: target.target },
        })),
        additionals: row.srv.flatMap(({ target }) => {
          const of = names.get(target.toLowerCase());
          return of ? [...addressRecords(target, of, 'A'), ...addressRecords(target, of, 'AAAA')] : [];
        }),
      };
    default:
      return { rcode: 'NOERROR', ...none };
  }
}

function addressRecords(name: string, row: DnsRow, type: 'A' | 'AAAA'): Records {
  const family = type === 'A' ? 4 : 6;
  return row.addresses
    .filter((address) => familyOf(address) === family)
    .map((address) => ({ type, name, ttl: TTL, data: formatAddress(address) }));
}

// Asked rarely (log lines of servers), so a scan is enough.
function pointers(
  asked: string,
  name: string,
  names: ReadonlyTable<DnsRow>,
): { rcode: Rcode; answers: Records; additionals: Records } {
  const targets = [...names.values()].filter(
    (row) => row.srv.length === 0 && row.addresses.some((address) => reverseName(address) === name),
  );
  return {
    rcode: targets.length > 0 ? 'NOERROR' : 'NXDOMAIN',
    answers: targets.map((row) => ({ type: 'PTR', name: asked, ttl: TTL, data: row.name })),
    additionals: [],
  };
}

/** "1.0.96.10.in-addr.arpa" or the ip6.arpa form (RFC 1035 section 3.5, RFC 3596 section 2.5). */
export function reverseName(address: Address): string {
  if (familyOf(address) === 4) return `${[...addressBytes(address).subarray(12)].reverse().join('.')}.in-addr.arpa`;
  const digits = [...addressBytes(address).toString('hex')].reverse();
  return `${digits.join('.')}.ip6.arpa`;
}

function optRecord(): Records[number] {
  return {
    type: 'OPT',
    name: '.',
    udpPayloadSize: EDNS_BYTES,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  };
}

// What does not fit loses its additional records first; a reply that still does not fit is empty and marked, so that
// the client asks again over TCP.
function fit(reply: Packet, limit: number): Uint8Array {
  const whole = encode(reply);
  if (whole.length <= limit) return whole;
  const lean = encode({ ...reply, additionals: reply.additionals?.filter((record) => record.type === 'OPT') ?? [] });
  if (lean.length <= limit) return lean;
  return encode({ ...reply, flags: (reply.flags ?? 0) | TRUNCATED_RESPONSE, answers: [], additionals: [] });
}

function failure(id: number, rcode: Rcode): Reply {
  return { rcode, bytes: encode({ id, type: 'response', flags: RCODES[rcode] }) };
}

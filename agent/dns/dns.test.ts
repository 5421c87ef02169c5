// A resolver on loopback, asked by the real dig.
//
//   dig ──udp/tcp──▶ 127.0.0.1:port, [::1]:port  resolver ──▶ table of names

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createConnection } from 'node:net';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { address } from '#common/ip.ts';
import { createTable } from '#common/table.ts';
import type { DnsRow } from '../tables.ts';
import { answer } from './answer.ts';
import { type Resolver, startResolver } from './server.ts';

const PORT = 20_000 + (process.pid % 20_000);
const SERVICE = 'deathstar.default.svc.cluster.local';
const names = createTable<DnsRow>('dns');
let resolver: Resolver;

before(async () => {
  const row = (name: string, addresses: string[], srv: DnsRow['srv'] = []): void =>
    names.set(name, { name, addresses: addresses.map(address), srv });
  row(SERVICE, ['10.96.7.7', 'fd00:10:96::7']);
  row('four.default.svc.cluster.local', ['10.96.7.8']);
  row(`_http._tcp.${SERVICE}`, [], [{ target: SERVICE, port: 80 }]);
  row(
    'many.default.svc.cluster.local',
    Array.from({ length: 200 }, (_, i) => `10.244.1.${i}`),
  );
  resolver = await startResolver({ addresses: [address('127.0.0.1'), address('::1')], port: PORT, names });
});
after(() => resolver.close());

async function dig(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('dig', ['-p', String(PORT), '+tries=1', '+time=2', ...args]);
  return stdout;
}

const cases = [
  {
    about: 'an A record',
    args: ['@127.0.0.1', SERVICE, 'A'],
    expected: [/NOERROR/, /IN\s+A\s+10\.96\.7\.7/, /flags: qr aa/],
  },
  { about: 'an AAAA record over IPv6', args: ['@::1', SERVICE, 'AAAA'], expected: [/IN\s+AAAA\s+fd00:10:96::7/] },
  { about: 'a name in capitals', args: ['@127.0.0.1', SERVICE.toUpperCase(), 'A'], expected: [/10\.96\.7\.7/] },
  { about: 'over TCP', args: ['@127.0.0.1', '+tcp', SERVICE, 'A'], expected: [/10\.96\.7\.7/] },
  {
    about: 'an SRV record with its addresses',
    args: ['@127.0.0.1', `_http._tcp.${SERVICE}`, 'SRV'],
    expected: [/SRV\s+0 100 80 deathstar/, /10\.96\.7\.7/],
  },
  { about: 'a pointer', args: ['@127.0.0.1', '-x', '10.96.7.7'], expected: [/PTR\s+deathstar\.default/] },
  {
    about: 'a type the name lacks',
    args: ['@127.0.0.1', 'four.default.svc.cluster.local', 'AAAA'],
    expected: [/NOERROR/, /ANSWER: 0/],
  },
  {
    about: 'an unknown name of the cluster',
    args: ['@127.0.0.1', 'nobody.default.svc.cluster.local', 'A'],
    expected: [/NXDOMAIN/],
  },
  { about: 'a name outside the cluster', args: ['@127.0.0.1', 'example.com', 'A'], expected: [/NXDOMAIN/] },
  {
    about: 'too much for UDP: truncated',
    args: ['@127.0.0.1', '+ignore', 'many.default.svc.cluster.local', 'A'],
    expected: [/flags: qr aa tc/, /ANSWER: 0/],
  },
  {
    about: 'too much for UDP: whole over TCP',
    args: ['@127.0.0.1', 'many.default.svc.cluster.local', 'A'],
    expected: [/ANSWER: 200/],
  },
] as const;

for (const { about, args, expected } of cases) {
  test(`startResolver answers ${about}`, async () => {
    const output = await dig(...args);
    for (const pattern of expected) assert.match(output, pattern);
  });
}

test('answer says FORMERR to a query that cannot be read and nothing to what is no query', () => {
  const broken = Buffer.from('123401000001000000000000ff', 'hex');
  assert.equal(answer(broken, names, 'udp')?.rcode, 'FORMERR');
  const reply = Buffer.from(broken);
  reply[2] = 0x81;
  assert.equal(answer(reply, names, 'udp'), undefined);
  assert.equal(answer(Buffer.from('1234', 'hex'), names, 'udp'), undefined);
});

test('answer says NOTIMP to an operation that is no query', () => {
  const update = Buffer.from('123428000001000000000000', 'hex');
  assert.equal(answer(update, names, 'udp')?.rcode, 'NOTIMP');
});

test('startResolver ends a TCP connection that announces too long a query', async () => {
  const socket = createConnection(PORT, '127.0.0.1');
  socket.write(Buffer.from('ffff00', 'hex'));
  await new Promise<void>((resolve) => socket.on('close', () => resolve()).on('error', () => {}));
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { entryOf, portText } from './testing.ts';

function portsOf(entry: string): { found: readonly string[]; warnings: string } {
  const { entry: read, warnings } = entryOf('ingress', entry);
  assert.ok(read.ports !== 'all');
  return { found: read.ports.flatMap(({ ports }) => ports.map(portText)), warnings: warnings.join('\n') };
}

interface Case {
  readonly written: string;
  readonly expected: string;
  readonly warns?: RegExp;
}

describe('a port', () => {
  const cases: readonly Case[] = [
    { written: '{port: "80", protocol: TCP}', expected: '80/TCP' },
    { written: '{port: "80"}', expected: '80/ANY' },
    { written: '{port: "0", protocol: UDP}', expected: '0/UDP' },
    { written: '{port: "0", endPort: 90, protocol: UDP}', expected: '0/UDP', warns: /endPort: is ignored: port 0/ },
    { written: '{port: "80", endPort: 90, protocol: SCTP}', expected: '80-90/SCTP' },
    { written: '{port: "80", endPort: 80, protocol: SCTP}', expected: '80/SCTP' },
    { written: '{port: "80", endPort: 0, protocol: TCP}', expected: '80/TCP' },
    { written: '{port: "80", endPort: 70, protocol: ANY}', expected: '80/ANY', warns: /endPort: .* below/ },
    { written: '{port: "65535", protocol: TCP}', expected: '65535/TCP' },
    { written: '{port: "0120", protocol: TCP}', expected: '80/TCP', warns: /octal: it means 80/ },
    { written: '{port: "0x50", protocol: TCP}', expected: '0x50/TCP' },
    { written: '{port: "0x0000000000000050", protocol: TCP}', expected: '80/TCP', warns: /hexadecimal: it means 80/ },
    { written: '{port: "0B0000000001010000", protocol: TCP}', expected: '80/TCP', warns: /binary: it means 80/ },
    { written: '{port: "0o0000000000000120", protocol: TCP}', expected: '80/TCP', warns: /octal: it means 80/ },
    { written: '{port: "0_120", protocol: TCP}', expected: '80/TCP', warns: /octal: it means 80/ },
    { written: '{port: "8_080", protocol: TCP}', expected: '8080/TCP' },
    { written: '{port: HTTP, protocol: TCP}', expected: 'http/TCP' },
    {
      written: '{port: web-1, endPort: 90}',
      expected: 'web-1/ANY',
      warns: /endPort: is ignored: a range needs a number/,
    },
  ];
  for (const { written, expected, warns } of cases) {
    test(written, () => {
      const { found, warnings } = portsOf(`{toPorts: [{ports: [${written}]}]}`);
      assert.deepEqual(found, [expected]);
      assert.match(warnings, warns ?? /^$/);
    });
  }
});

describe('an ICMP type', () => {
  const cases: readonly Case[] = [
    { written: '{type: 8}', expected: '8/ICMP' },
    { written: '{type: "8"}', expected: '8/ICMP' },
    { written: '{type: 255, family: IPv6}', expected: '255/ICMPv6' },
    { written: '{type: EchoRequest}', expected: '8/ICMP' },
    { written: '{type: Echo}', expected: '8/ICMP' },
    { written: '{type: EchoRequest, family: IPv6}', expected: '128/ICMPv6' },
    { written: '{type: PacketTooBig, family: IPv6}', expected: '2/ICMPv6' },
    { written: '{type: EchoReply}', expected: '0/ICMP', warns: /"EchoReply" stands for every type of ICMP/ },
    { written: '{type: 0, family: IPv6}', expected: '0/ICMPv6', warns: /0 stands for every type of ICMPv6/ },
  ];
  for (const { written, expected, warns } of cases) {
    test(written, () => {
      const { found, warnings } = portsOf(`{icmps: [{fields: [${written}]}]}`);
      assert.deepEqual(found, [expected]);
      assert.match(warnings, warns ?? /^$/);
    });
  }

  test('all types of an entry are one rule', () => {
    const { entry } = entryOf('egress', '{icmps: [{fields: [{type: 3}, {type: 4}]}, {fields: [{type: 5}]}]}');
    assert.ok(entry.ports !== 'all' && entry.ports.length === 1);
    assert.deepEqual(entry.ports[0]?.ports.map(portText), ['3/ICMP', '4/ICMP', '5/ICMP']);
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readReceived } from './pinned.ts';
import { readIperf, readSockperf } from './tcp.ts';
import { readWrk } from './wrk.ts';

const WRK = `Running 1s test @ http://10.9.1.1:8081/
  1 threads and 64 connections
  67072 requests in 1.00s, 14.20MB read
{extra}Requests/sec:  66973.12
Transfer/sec:     14.18MB
`;

test('readWrk reads the rate', () => {
  assert.equal(readWrk(WRK.replace('{extra}', ''), { url: 'x' }), 66973.12);
});

const failures = [
  {
    name: 'replies of another status',
    text: WRK.replace('{extra}', '  Non-2xx or 3xx responses: 5\n'),
    says: /Non-2xx/,
  },
  {
    name: 'broken connections',
    text: WRK.replace('{extra}', '  Socket errors: connect 0, read 3, write 0, timeout 0\n'),
    says: /read 3/,
  },
  { name: 'no reply at all', text: 'Requests/sec:      0.00\n', says: /saw no reply/ },
  { name: 'no report', text: 'unable to connect', says: /saw no reply/ },
];
for (const { name, text, says } of failures) {
  test(`readWrk refuses ${name}`, () => assert.throws(() => readWrk(text, { url: 'x' }), says));
}

test('readSockperf reads the rate', () => {
  const text = 'sockperf: [Valid Duration] RunTime=2.000 sec; SentMessages=40000; ReceivedMessages=39999\n';
  assert.equal(readSockperf(text), 19_999.5);
});

test('readIperf reads what the receiver got', () => {
  assert.equal(readIperf('{"end":{"sum_sent":{"bits_per_second":2},"sum_received":{"bits_per_second":1}}}'), 1);
});

test('readSockperf and readIperf refuse other texts', () => {
  assert.throws(() => readSockperf('sockperf: ERROR'), /Cannot read the report of sockperf/);
  assert.throws(() => readIperf('{"error":"unable to connect"}'), /Cannot read the report of iperf3/);
});

const DEVICES = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
  eth0: 1234567   89012    3    0    0     0          0         0   765432    1098    0    0    0     0       0          0
`;

test('readReceived reads the packets of a device', () => {
  assert.equal(readReceived(DEVICES, 'eth0'), 89_012);
});

test('readReceived refuses other texts', () => {
  assert.throws(() => readReceived(DEVICES, 'eth1'), /Cannot read the packets of eth1/);
  assert.throws(() => readReceived('eth0: none', 'eth0'), /Cannot read the packets of eth0/);
});

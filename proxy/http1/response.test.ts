import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { METHOD } from './methods.ts';
import { SCAN } from './request.ts';
import { createResponseHead, ENDS, scanResponse } from './response.ts';

function scan(text: string, method: number = METHOD.plain) {
  const head = createResponseHead(16);
  const buffer = Buffer.from(`${text}\0old bytes\r\n\r\n`, 'latin1');
  const outcome = scanResponse(head, method, { buffer, start: 0, end: Buffer.byteLength(text, 'latin1') });
  return { outcome, head };
}

describe('scanResponse', () => {
  test('says where an incomplete response starts', () => {
    const { head } = scan('HTTP/1.1 200 OK\r\n\r\n');
    for (const [text, skipped] of [
      ['\r', 0],
      ['\r\n', 2],
      ['\r\n\r', 2],
      ['\r\nHTTP', 2],
    ] as const) {
      const buffer = Buffer.from(`${text}\0`);
      assert.equal(scanResponse(head, METHOD.plain, { buffer, start: 0, end: text.length }), SCAN.incomplete);
      assert.equal(head.start, skipped, JSON.stringify(text));
    }
  });

  const cases = [
    { text: 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n', ends: ENDS.length, last: false },
    { text: 'HTTP/1.1 200 OK\r\n\r\n', ends: ENDS.close, last: false },
    { text: 'HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n', ends: ENDS.length, last: true },
    { text: 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\n', ends: ENDS.length, last: false },
    { text: 'HTTP/1.1 200\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n', ends: ENDS.chunked, last: true },
    { text: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n', ends: ENDS.close, last: false },
    { text: 'HTTP/1.1 204 No Content\r\n\r\n', ends: ENDS.none, last: false },
    { text: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n', ends: ENDS.none, last: false },
    { text: 'HTTP/1.1 100 Continue\r\n\r\n', ends: ENDS.none, last: false },
    { text: 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', method: METHOD.head, ends: ENDS.none, last: false },
    { text: 'HTTP/1.1 200 OK\r\n\r\n', method: METHOD.connect, ends: ENDS.none, last: false },
    { text: 'HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\n', method: METHOD.connect, ends: ENDS.length, last: false },
    { text: '\r\nHTTP/1.1 200 \xe9\r\nContent-Length: 0\r\n\r\n', ends: ENDS.length, last: false },
  ];
  for (const { text, method, ends, last } of cases) {
    test(`${JSON.stringify(text.slice(0, 60))} to METHOD ${method ?? 0}`, () => {
      const { outcome, head } = scan(text, method);
      assert.equal(outcome, SCAN.complete, String(head.problem));
      assert.equal(head.ends, ends);
      assert.equal(head.last, last);
      assert.equal(head.end, text.length);
      for (let i = 0; i < text.length; i++) assert.equal(scan(text.slice(0, i), method).outcome, SCAN.incomplete);
    });
  }

  for (const text of [
    'HTTP/2.0 200 OK\r\n\r\n',
    'HTTP/1.1 20 OK\r\n\r\n',
    'HTTP/1.1 2000 OK\r\n\r\n',
    'HTTP/1.1  200 OK\r\n\r\n',
    'HTTP/1.1 200 OK\nContent-Length: 0\n\n',
    'HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n',
    'HTTP/1.1 200 OK\r\nA b: c\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n',
    'HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n',
    'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n',
    'ICY 200 OK\r\n\r\n',
  ]) {
    test(`${JSON.stringify(text)} is refused`, () => {
      const { outcome, head } = scan(text);
      assert.equal(outcome, SCAN.refused);
      assert.notEqual(head.problem, '');
    });
  }
});

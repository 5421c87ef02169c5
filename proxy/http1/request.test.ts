import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createRequestHead, type RequestHead, SCAN, scanRequest } from './request.ts';
import { UPGRADE, withoutUpgrade } from './upgrade.ts';

/** Scans `text` as it would lie in the read buffer: behind other bytes, before a 0 and old bytes. */
function scan(text: string, maxFields = 16): { outcome: number; head: RequestHead; start: number } {
  const start = 7;
  const buffer = Buffer.from(`garbage${text}\0 HTTP/1.1\r\nold: bytes\r\n\r\n`, 'latin1');
  const head = createRequestHead(maxFields);
  return { outcome: scanRequest(head, buffer, start, start + Buffer.byteLength(text, 'latin1')), head, start };
}

const cut = (head: RequestHead, start: number, end: number): string => head.buffer.toString('latin1', start, end);

describe('scanRequest accepts', () => {
  const cases = [
    { name: 'the simplest request', text: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', path: '/', host: 'a' },
    { name: 'a query', text: 'GET /a?b={c}|d HTTP/1.1\r\nHost: a:80\r\n\r\n', path: '/a?b={c}|d', host: 'a:80' },
    { name: 'HTTP/1.0 without Host', text: 'GET /x HTTP/1.0\r\n\r\n', path: '/x', host: '', last: true, plain: true },
    { name: 'HTTP/1.0 that stays', text: 'GET /x HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n', path: '/x', host: '' },
    {
      name: 'a close',
      text: 'GET /x HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n',
      path: '/x',
      host: 'a',
      last: true,
    },
    {
      name: 'a length',
      text: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 007\r\n\r\n',
      path: '/',
      host: 'a',
      length: 7,
    },
    {
      name: 'chunks',
      text: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n',
      path: '/',
      host: 'a',
      length: -1,
    },
    { name: 'absolute form', text: 'GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n', path: '/x', host: 'a' },
    {
      name: 'absolute form without path',
      text: 'GET http://b?q HTTP/1.1\r\nHost: b\r\n\r\n',
      path: '?q',
      host: 'b',
      plain: false,
    },
    { name: 'asterisk form', text: 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', path: '*', host: 'a' },
    { name: 'CONNECT', text: 'CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n', path: '', host: '[::1]:443' },
    {
      name: 'an escaped path',
      text: 'GET /a%20b HTTP/1.1\r\nHost: a\r\n\r\n',
      path: '/a%20b',
      host: 'a',
      plain: false,
    },
    {
      name: 'dots inside segments',
      text: 'GET /..a/b..c HTTP/1.1\r\nHost: a\r\n\r\n',
      path: '/..a/b..c',
      host: 'a',
      plain: false,
    },
    { name: 'a dot in a name', text: 'GET /a.b HTTP/1.1\r\nHost: a\r\n\r\n', path: '/a.b', host: 'a', plain: true },
    {
      name: 'white space around values, empty values, obs-text',
      text: 'GET / HTTP/1.1\r\nHost:a\r\nX: \t v\xe9 \t\r\nY:\r\n\r\n',
      path: '/',
      host: 'a',
    },
  ];
  for (const { name, text, path, host, last = false, length = 0, plain } of cases) {
    test(name, () => {
      const { outcome, head } = scan(text);
      assert.equal(outcome, SCAN.complete, String(head.problem));
      assert.equal(cut(head, head.start, head.end), text);
      assert.equal(cut(head, head.pathStart, head.pathEnd), path);
      assert.equal(cut(head, head.hostStart, head.hostEnd), host);
      assert.equal(head.last, last);
      assert.equal(head.bodyLength, length);
      if (plain !== undefined) assert.equal(head.plainPath, plain);
    });
    test(`${name}, but not a byte too early`, () => {
      for (let i = 0; i < text.length; i++)
        assert.equal(scan(text.slice(0, i)).outcome, SCAN.incomplete, `after ${i} bytes`);
    });
  }

  test('nothing of an incomplete request but the empty lines before it', () => {
    const { head, start } = scan('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    for (const [text, skipped] of [
      ['\r', 0],
      ['\r\n', 2],
      ['\r\n\r', 2],
      ['\r\nGET', 2],
    ] as const) {
      assert.equal(scanRequest(head, Buffer.from(`garbage${text}\0`), start, start + text.length), SCAN.incomplete);
      assert.equal(head.start, start + skipped, JSON.stringify(text));
    }
  });

  test('the request after empty lines, and says where it starts', () => {
    const { outcome, head, start } = scan('\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal(outcome, SCAN.complete);
    assert.equal(head.start, start + 4);
  });
});

describe('scanRequest refuses', () => {
  const get = (fields: string): string => `GET / HTTP/1.1\r\n${fields}\r\n\r\n`;
  const post = (fields: string): string => `POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n\r\n`;
  const cases: { text: string; problem: string }[] = [
    { text: '\x16\x03\x01\x02\x00', problem: 'malformed request line' },
    { text: ' GET / HTTP/1.1\r\n', problem: 'malformed request line' },
    { text: 'GET  / HTTP/1.1\r\n', problem: 'malformed request target' },
    { text: 'GET\t/ HTTP/1.1\r\n', problem: 'malformed request line' },
    { text: 'get / HTTP/1.1\r\n', problem: 'method not supported' },
    { text: 'BREW / HTTP/1.1\r\n', problem: 'method not supported' },
    { text: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', problem: 'method not supported' },
    { text: 'GET /\r\n', problem: 'malformed request target' },
    { text: 'GET / HTTP/1.1 \r\n', problem: 'malformed request line' },
    { text: 'GET / HTTP/1.1\nHost: a\n\n', problem: 'line ended by a bare LF' },
    { text: 'GET / http/1.1\r\nHost: a\r\n', problem: 'malformed request line' },
    { text: 'GET / HTTP/2.0\r\nHost: a\r\n', problem: 'HTTP version not supported' },
    { text: 'GET / HTTP/1.2\r\nHost: a\r\n', problem: 'HTTP version not supported' },
    { text: 'GET /#x HTTP/1.1\r\n', problem: 'malformed request target' },
    { text: 'GET /\x7f HTTP/1.1\r\n', problem: 'malformed request target' },
    { text: 'GET /\xe9 HTTP/1.1\r\n', problem: 'malformed request target' },
    { text: 'GET /a\\b HTTP/1.1\r\n', problem: 'malformed request target' },
    { text: 'GET /%zz HTTP/1.1\r\n', problem: 'malformed request target' },
    { text: 'GET /%00 HTTP/1.1\r\n', problem: 'control character in path' },
    { text: 'GET /%0a HTTP/1.1\r\n', problem: 'control character in path' },
    { text: 'GET x HTTP/1.1\r\n', problem: 'malformed request target' },
    { text: 'GET * HTTP/1.1\r\n', problem: 'malformed request target' },
    { text: 'GET ftp://a/ HTTP/1.1\r\nHost: a\r\n', problem: 'malformed request target' },
    { text: 'GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n', problem: 'malformed request target' },
    { text: 'CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n', problem: 'malformed request target' },
    { text: 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 0\r\n\r\n', problem: 'CONNECT with content' },
    { text: get('X: y'), problem: 'missing Host' },
    { text: get('Host: a\r\nhost: a'), problem: 'repeated Host' },
    { text: get('Host: '), problem: 'malformed Host' },
    { text: get('Host: a '), problem: 'malformed Host' },
    { text: get('Host: a,b'), problem: 'malformed Host' },
    { text: get('Host: u@a'), problem: 'malformed Host' },
    { text: get('Host: a:'), problem: 'malformed Host' },
    { text: get('Host: a:65536'), problem: 'malformed Host' },
    { text: get('Host: [::1'), problem: 'malformed Host' },
    { text: get('Host: 127.1'), problem: 'malformed Host' },
    { text: get('Host: 0x7f000001'), problem: 'malformed Host' },
    { text: get('Host: 127.0.0.01'), problem: 'malformed Host' },
    { text: get('Host: a\r\nX : y'), problem: 'malformed field name' },
    { text: get('Host: a\r\n: y'), problem: 'malformed field name' },
    { text: get('Host: a\r\nX'), problem: 'bare CR' },
    { text: get('Host: a\r\nX: y\r\n z'), problem: 'folded field line' },
    { text: get('Host: a\r\n\tX: y'), problem: 'folded field line' },
    { text: get('Host: a\r\nX: \x00'), problem: 'control character in field' },
    { text: get('Host: a\r\nX: a\rb'), problem: 'bare CR' },
    { text: get('Host: a\r\nX: a\nb'), problem: 'line ended by a bare LF' },
    { text: post('Content-Length: 1\r\nTransfer-Encoding: chunked'), problem: 'Content-Length with Transfer-Encoding' },
    { text: post('Content-Length: 1\r\nContent-Length: 1'), problem: 'repeated Content-Length' },
    { text: post('Content-Length: 1, 1'), problem: 'malformed Content-Length' },
    { text: post('Content-Length: +1'), problem: 'malformed Content-Length' },
    { text: post('Content-Length: 0x1'), problem: 'malformed Content-Length' },
    { text: post('Content-Length: '), problem: 'malformed Content-Length' },
    { text: post('Content-Length: 9007199254740993'), problem: 'malformed Content-Length' },
    { text: post('Content_Length: 1'), problem: 'field that imitates framing' },
    { text: post('Transfer_Encoding: chunked'), problem: 'field that imitates framing' },
    { text: post('Transfer-Encoding: chunked, gzip'), problem: 'malformed Transfer-Encoding' },
    { text: post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'), problem: 'malformed Transfer-Encoding' },
    { text: post('Transfer-Encoding: chunked\t'), problem: 'malformed Transfer-Encoding' },
    { text: post('Transfer-Encoding: gzip'), problem: 'malformed Transfer-Encoding' },
    { text: post('Transfer-Encoding: ,chunked'), problem: 'malformed Transfer-Encoding' },
    { text: post('Transfer-Encoding: chunked;q=1'), problem: 'malformed Transfer-Encoding' },
    { text: post('Transfer-Encoding: cow, chunked'), problem: 'transfer coding not supported' },
    { text: 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n', problem: 'Transfer-Encoding in HTTP/1.0' },
    { text: post('Connection: Content-Length\r\nContent-Length: 1'), problem: 'Connection names a framing field' },
    { text: post('Connection: "close"'), problem: 'malformed Connection' },
    { text: post('Expect: the-unexpected'), problem: 'expectation not supported' },
    { text: post('Upgrade: websocket, h2c'), problem: 'upgrade not acceptable' },
    { text: `GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(16)}\r\n`, problem: 'too many fields' },
  ];
  for (const { text, problem } of cases) {
    test(`${JSON.stringify(text.slice(0, 70))}: ${problem}`, () => {
      const { outcome, head } = scan(text);
      assert.equal(outcome, SCAN.refused);
      assert.equal(head.problem, problem);
    });
  }
});

describe('header', () => {
  test('joins the lines of a field and finds nothing that is not there', () => {
    const { head } = scan('GET / HTTP/1.1\r\nHost: a\r\nX-Role: user\r\nx-role:  admin \r\nX-Rol: no\r\n\r\n');
    assert.equal(head.header('x-role'), 'user,admin');
    assert.equal(head.header('x-roles'), undefined);
    assert.equal(head.header('__proto__'), undefined);
  });
});

describe('upgrade', () => {
  const cases = [
    { fields: 'Connection: Upgrade\r\nUpgrade: websocket', upgrade: UPGRADE.pass },
    { fields: 'Upgrade: websocket', upgrade: UPGRADE.none },
    { fields: 'Connection: upgrade\r\nUpgrade: h2c', upgrade: UPGRADE.strip },
    { fields: 'Upgrade: H2C', upgrade: UPGRADE.strip },
    { fields: 'Connection: upgrade\r\nUpgrade: HTTP/2.0', upgrade: UPGRADE.strip },
    { fields: 'Connection: upgrade\r\nUpgrade: TLS/1.3', upgrade: UPGRADE.strip },
  ];
  for (const { fields, upgrade } of cases) {
    test(`${JSON.stringify(fields)} is ${upgrade}`, () => {
      assert.equal(scan(`GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n\r\n`).head.upgrade, upgrade);
    });
  }

  test('withoutUpgrade leaves nothing of an upgrade and everything else', () => {
    const fields = 'Connection: keep-alive, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nY:z\r\n';
    const { head } = scan(`GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);
    const text = withoutUpgrade(head).toString();
    assert.equal(text, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nY:z\r\n\r\n');
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { beginBody, createBody, readBody } from './body.ts';
import { ENDS } from './response.ts';

interface Reading {
  readonly taken: number;
  readonly complete: boolean;
  readonly problem: string | undefined;
}

function read(text: string, ends: number, length: number, step: number): Reading {
  const body = createBody();
  beginBody(body, ends, length);
  const buffer = Buffer.from(text, 'latin1');
  let at = 0;
  for (let end = step; at < buffer.length && body.ends !== ENDS.none; end += step) {
    at = readBody(body, { buffer, start: at, end: Math.min(end, buffer.length) });
    if (body.problem !== undefined) break;
  }
  return { taken: at, complete: body.ends === ENDS.none, problem: body.problem };
}

describe('readBody', () => {
  const rest = 'GET / HTTP/1.1';
  const cases: { name: string; text: string; ends?: number; length?: number; complete?: boolean; problem?: string }[] =
    [
      { name: 'a length', text: '12345', ends: ENDS.length, length: 5 },
      { name: 'a length of 0', text: '', ends: ENDS.length, length: 0 },
      { name: 'a length that is not reached', text: '1234', ends: ENDS.length, length: 5, complete: false },
      { name: 'until the end', text: 'whatever', ends: ENDS.close, complete: false },
      { name: 'one chunk', text: '5\r\nhello\r\n0\r\n\r\n' },
      {
        name: 'chunks with zeros and letters in both cases',
        text: '00A\r\n0123456789\r\nb\r\n01234567890\r\n000\r\n\r\n',
      },
      { name: 'extensions', text: '1;a\r\nx\r\n1;a=b;c="d;\\"e"\r\ny\r\n0;z=1\r\n\r\n' },
      { name: 'trailers', text: '0\r\nX-Sum: 1 2\r\nY:\r\n\r\n' },
      { name: 'a chunk that is not whole', text: '5\r\nhel', complete: false },
      { name: 'no last line', text: '0\r\n', complete: false },
      { name: 'no size', text: '\r\nx', problem: 'malformed chunk' },
      { name: 'a sign', text: '-1\r\nx', problem: 'malformed chunk' },
      { name: '0x', text: '0x5\r\nhello\r\n', problem: 'malformed chunk' },
      { name: 'white space after a size', text: '5 \r\nhello\r\n', problem: 'malformed chunk' },
      { name: 'white space before a size', text: ' 5\r\nhello\r\n', problem: 'malformed chunk' },
      { name: 'a bare LF after a size', text: '5\nhello', problem: 'malformed chunk' },
      { name: 'a bare CR after a size', text: '5\r\r\nhello', problem: 'malformed chunk' },
      { name: 'a chunk that is too long', text: '3\r\nhello\r\n', problem: 'malformed chunk' },
      { name: 'a size beyond 2^53', text: '20000000000000\r\n', problem: 'malformed chunk' },
      { name: 'an empty extension', text: '1;\r\nx\r\n', problem: 'malformed chunk' },
      { name: 'LF in a quoted extension', text: '1;a="\n"\r\nx\r\n', problem: 'malformed chunk' },
      { name: 'an extension without end', text: `1;${'a'.repeat(2000)}`, problem: 'chunk extension too long' },
      { name: 'zeros without end', text: '0'.repeat(2000), problem: 'chunk extension too long' },
      {
        name: 'Content-Length in trailers',
        text: '0\r\ncontent-LENGTH: 1\r\n\r\n',
        problem: 'forbidden trailer field',
      },
      { name: 'Host in trailers', text: '0\r\nX: y\r\nHost: b\r\n\r\n', problem: 'forbidden trailer field' },
      { name: 'a folded trailer', text: '0\r\nX: y\r\n z\r\n\r\n', problem: 'malformed chunk' },
      { name: 'a trailer without colon', text: '0\r\nX y\r\n\r\n', problem: 'malformed chunk' },
      { name: 'trailers without end', text: `0\r\n${'X: y\r\n'.repeat(4000)}`, problem: 'trailers too large' },
    ];
  for (const { name, text, ends = ENDS.chunked, length = 0, complete = true, problem } of cases) {
    for (const step of [1, 2, 3, 1_000_000]) {
      test(`${name}, ${step} bytes at a time`, () => {
        const isWhole = complete && problem === undefined;
        const reading = read(text + (isWhole ? rest : ''), ends, length, step);
        assert.equal(reading.problem, problem);
        assert.equal(reading.complete, isWhole);
        if (isWhole) assert.equal(reading.taken, text.length);
      });
    }
  }

  test('takes nothing of a broken chunk for sound', () => {
    const reading = read('5\r\nhelloXX', ENDS.chunked, 0, 100);
    assert.equal(reading.taken, '5\r\nhello'.length);
  });
});

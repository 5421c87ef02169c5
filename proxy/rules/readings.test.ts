import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createRequestHead, SCAN, scanRequest } from '../http1/request.ts';
import { isPlain, readings } from './readings.ts';

function headOf(requestLine: string, host = 'a') {
  const head = createRequestHead(16);
  const text = `${requestLine} HTTP/1.1\r\nHost: ${host}\r\nX-Role: admin\r\n\r\n`;
  const buffer = Buffer.from(`${text}\0`, 'latin1');
  assert.equal(scanRequest(head, buffer, 0, text.length), SCAN.complete, String(head.problem));
  return head;
}

function pathsOf(requestLine: string): string[] {
  const views = readings(headOf(requestLine));
  assert.ok(views);
  return [...new Set(views.map((view) => (view.buffer as Buffer).toString('latin1', view.pathStart, view.pathEnd)))];
}

describe('readings', () => {
  const cases: { target: string; paths: string[] }[] = [
    { target: '/a/../b', paths: ['/a/../b', '/b'] },
    { target: '/a/%2e%2E/b', paths: ['/a/%2e%2E/b', '/a/../b', '/b'] },
    { target: '/%61', paths: ['/%61', '/a'] },
    { target: '/a%2fb', paths: ['/a%2fb', '/a%2Fb', '/a/b'] },
    {
      target: '/a/..%2fb?q=%2f..',
      paths: ['/a/..%2fb?q=', '/a/..%2Fb?q=', '/a/../b?q=', '/b?q='].map((path) => `${path}%2f..`),
    },
    { target: '//a//b', paths: ['//a//b', '/a/b'] },
    { target: '/a//../b', paths: ['/a//../b', '/a/b', '/a/../b', '/b'] },
    { target: '/a/..;x=y/b', paths: ['/a/..;x=y/b', '/a/../b', '/b'] },
    {
      target: '/a/%5c..%5cb',
      paths: ['/a/%5c..%5cb', '/a/%5C..%5Cb', '/a/\\..\\b', '/a//../b', '/a/b', '/a/../b', '/b'],
    },
    {
      target: '/a/%c0%ae%c0%ae/b',
      paths: ['/a/%c0%ae%c0%ae/b', '/a/%C0%AE%C0%AE/b', '/a/\xc0\xae\xc0\xae/b', '/a/../b', '/b'],
    },
    { target: '/a/..%e0%80%afb', paths: ['/a/..%e0%80%afb', '/a/..%E0%80%AFb', '/a/..\xe0\x80\xafb', '/a/../b', '/b'] },
    { target: '/a/..', paths: ['/a/..', '/'] },
    { target: '/../../a', paths: ['/../../a', '/a'] },
    { target: '/a%20b', paths: ['/a%20b', '/a b'] },
    { target: '/a%C3%A9', paths: ['/a%C3%A9', '/a\xc3\xa9'] },
    { target: '/a%252e', paths: ['/a%252e', '/a%2e', '/a.'] },
  ];
  for (const { target, paths } of cases) {
    test(`of ${target}`, () => {
      assert.equal(isPlain(headOf(`GET ${target}`)), false);
      assert.deepEqual(pathsOf(`GET ${target}`), paths);
    });
  }

  for (const { server, target } of [
    { server: 'decodes, and knows no "\\"', target: '/public/a%5cb%5cc%2f..%2f..%2fadmin' },
    { server: 'decodes, and takes overlong bytes as they are', target: '/public/a%c0%afb%2f..%2f..%2fadmin' },
    { server: 'drops parameters, and knows no "\\"', target: '/public/a%5cb/..;/..;/admin' },
    { server: 'keeps escaped slashes', target: '/public/a%2fb/%2e%2e/%2e%2e/admin' },
    { server: 'merges slashes before it resolves dots', target: '/public//%2e%2e/admin' },
    { server: 'decodes twice', target: '/public/%252e%252e/admin' },
  ]) {
    test(`of ${target} have what a server makes of it that ${server}`, () => {
      assert.ok(pathsOf(`GET ${target}`).includes('/admin'));
    });
  }

  test('are not made where a path is made to have too many', () => {
    const unit = '/%2541%5c%c0%af;x//..';
    assert.ok(readings(headOf(`GET ${unit}`)));
    assert.equal(readings(headOf(`GET ${unit.repeat(400)}`)), undefined);
  });

  for (const target of ['/', '/a/b.c', '/a?b=../c//;', '/~x/(y)']) {
    test(`${target} can be read in one way only`, () => assert.equal(isPlain(headOf(`GET ${target}`)), true));
  }

  test('of an absolute target have both hosts', () => {
    const views = readings(headOf('GET http://b:80/x', 'a')) ?? [];
    const hosts = views.map((view) => (view.buffer as Buffer).toString('latin1', view.hostStart, view.hostEnd));
    assert.deepEqual(hosts, ['a', 'b:80']);
    assert.deepEqual(pathsOf('GET http://b/x'), ['/x']);
    assert.deepEqual(pathsOf('GET http://b?y'), ['/?y']);
    assert.deepEqual(pathsOf('OPTIONS http://b'), ['/', '*']);
  });

  test('keep method and headers', () => {
    const [view] = readings(headOf('PUT /%61')) ?? [];
    assert.ok(view);
    assert.equal((view.buffer as Buffer).toString('latin1', view.methodStart, view.methodEnd), 'PUT');
    assert.equal(view.header('x-role'), 'admin');
  });
});

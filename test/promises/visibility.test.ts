// Requests become visible by a policy that restricts nothing.
//
//   client ── node ── server :80 :8080

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { curl, needsRoot, pod, policy, ports, startTestMesh, type TestMesh } from '../mesh.ts';

const LOOK = policy('look', 'server', {
  enableDefaultDeny: { ingress: false },
  ingress: [{ toPorts: ports([80], [{}]) }],
});

describe('visibility without restriction', { skip: needsRoot }, () => {
  let mesh: TestMesh;
  before(async () => {
    mesh = await startTestMesh([pod('client'), pod('server', ['server.ts', '80', '8080'])]);
  });
  after(() => mesh?.[Symbol.asyncDispose]());

  /** Lines of the HTTP flows so far. */
  const requests = async (): Promise<number> =>
    (await mesh.weir(['observe', '--all', '--type', 'l7'])).stdout.split('\n').filter((line) => line.includes('http-'))
      .length;

  for (const family of [4, 6] as const) {
    test(`IPv${family}: every request passes, on every port, and those on the port are seen`, async () => {
      await mesh.setPolicies([]);
      const host = await mesh.address('server', family);
      const before = await requests();
      const ask = async (port: number, method: string): Promise<void> => {
        const { outcome, body } = await curl(mesh, { from: 'client', host, port, method, path: '/any?thing=1' });
        assert.equal(outcome, 200, body);
        assert.equal(JSON.parse(body).client, await mesh.address('client', family));
      };
      await ask(80, 'GET');
      assert.equal(await requests(), before, 'without the policy nothing is seen');
      await mesh.setPolicies([LOOK]);
      await ask(80, 'GET');
      await ask(80, 'DELETE');
      await ask(8080, 'GET');
      const late = AbortSignal.timeout(5_000);
      while ((await requests()) < before + 4 && !late.aborted);
      assert.equal(await requests(), before + 4, 'request and response of both on port 80');
    });
  }
});

// A changed policy applies to the next packet and the next request of a connection that already exists.
//
//   client ── node ── server :80

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  apps,
  needsRoot,
  nextOf,
  pod,
  policy,
  ports,
  type Running,
  startProgram,
  startTestMesh,
  type TestMesh,
} from '../mesh.ts';

const ALLOW_L4 = policy('p', 'server', { ingress: [{ fromEndpoints: apps('client'), toPorts: ports([80]) }] });
const ALLOW_NOBODY = policy('p', 'server', { ingress: [{ fromEndpoints: apps('nobody'), toPorts: ports([80]) }] });
const allowPath = (path: string): ReturnType<typeof policy> =>
  policy('p', 'server', { ingress: [{ fromEndpoints: apps('client'), toPorts: ports([80], [{ path }]) }] });

describe('revocation', { skip: needsRoot }, () => {
  let mesh: TestMesh;
  before(async () => {
    mesh = await startTestMesh([pod('client'), pod('server', ['server.ts', '80'])]);
  });
  after(() => mesh?.[Symbol.asyncDispose]());

  for (const family of [4, 6] as const) {
    const ask = async (path: string): Promise<Running> =>
      startProgram(mesh, 'client', ['keep-asking.ts', await mesh.address('server', family), '80', path]);

    test(`IPv${family}: allow, deny and allow again act on one connection`, async () => {
      await mesh.setPolicies([ALLOW_L4]);
      await using asking = await ask('/');
      assert.equal(await nextOf(asking, ['200']), '200');
      await mesh.setPolicies([ALLOW_NOBODY]);
      assert.equal(await nextOf(asking, ['silence', 'closed']), 'silence');
      await mesh.setPolicies([ALLOW_L4]);
      assert.equal(await nextOf(asking, ['200', 'closed']), '200', 'a retransmission passes');
    });

    test(`IPv${family}: a connection that would bypass new HTTP rules is reset, new ones are judged`, async () => {
      await mesh.setPolicies([ALLOW_L4]);
      await using old = await ask('/private');
      assert.equal(await nextOf(old, ['200']), '200');
      const before = old.seen.length; // the reset may come before the new policy is reported
      await mesh.setPolicies([allowPath('/public')]);
      assert.equal(await nextOf(old, ['ECONNRESET', '403'], before), 'ECONNRESET');
      await using judged = await ask('/private');
      assert.equal(await nextOf(judged, ['403', '200']), '403');
    });

    test(`IPv${family}: changed HTTP rules apply to the next request of a connection`, async () => {
      await mesh.setPolicies([allowPath('/public')]);
      await using asking = await ask('/private');
      assert.equal(await nextOf(asking, ['403', '200']), '403');
      await mesh.setPolicies([allowPath('/(public|private)')]);
      assert.equal(await nextOf(asking, ['200', 'closed']), '200');
      await mesh.setPolicies([allowPath('/public')]);
      assert.equal(await nextOf(asking, ['403', 'closed']), '403');
    });

    test(`IPv${family}: a connection of the proxy is cut by L4, and goes on where HTTP rules went away`, async () => {
      await mesh.setPolicies([allowPath('/public')]);
      await using asking = await ask('/private');
      assert.equal(await nextOf(asking, ['403', '200']), '403');
      await mesh.setPolicies([ALLOW_L4]);
      assert.equal(await nextOf(asking, ['200', 'closed']), '200');
      await mesh.setPolicies([ALLOW_NOBODY]);
      assert.notEqual(await nextOf(asking, ['silence', 'closed', 'ECONNRESET', '403']), '200');
      const answered = asking.seen.filter((line) => line === '200').length;
      await sleep(1_500);
      assert.equal(asking.seen.filter((line) => line === '200').length, answered, 'no request passed any more');
    });
  }
});

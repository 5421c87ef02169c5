import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { type Address, address, formatAddress } from '#common/ip.ts';
import { createPurges } from './purges.ts';

const [A, B, C] = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map((text) => address(text)) as [Address, Address, Address];

/** Purges that end when the test says so. `calls`: the addresses of each that has begun. */
function rig() {
  const calls: string[] = [];
  let running: PromiseWithResolvers<number> | undefined;
  const purges = createPurges({
    purge(addresses) {
      assert.equal(running, undefined, 'one at a time');
      calls.push(addresses.map(formatAddress).join());
      running = Promise.withResolvers<number>();
      return running.promise;
    },
  });
  /** Ends the one that is running. */
  const end = async (error?: Error): Promise<void> => {
    const last = running;
    assert.ok(last, 'one is running');
    running = undefined;
    if (error) last.reject(error);
    else last.resolve(0);
    await setImmediate();
  };
  /** "waiting", "settled", or the error's text. */
  const settling = (...addresses: readonly Address[]) => {
    const seen = { state: 'waiting' };
    purges.settled(addresses).then(
      () => {
        seen.state = 'settled';
      },
      (error: Error) => {
        seen.state = error.message;
      },
    );
    return seen;
  };
  const begin = (addresses: readonly Address[]): void => {
    purges.note(addresses);
    purges.begin();
  };
  return { calls, begin, end, settling, isRunning: () => running !== undefined };
}

describe('createPurges', () => {
  it('lets only those wait whose address is being purged', async () => {
    const { begin, settling, end } = rig();
    begin([A, B]);
    const [other, nobody, own, mixed] = [settling(C), settling(), settling(A), settling(C, B)];
    await setImmediate();
    assert.deepEqual([other.state, nobody.state, own.state, mixed.state], ['settled', 'settled', 'waiting', 'waiting']);
    await end();
    assert.deepEqual([own.state, mixed.state], ['settled', 'settled']);
    const late = settling(A);
    await setImmediate();
    assert.equal(late.state, 'settled');
  });

  it('purges nothing for no address', () => {
    const { begin, calls } = rig();
    begin([]);
    assert.deepEqual(calls, []);
  });

  it('purges what is begun while another purge is running after it', async () => {
    const { begin, calls, settling, end, isRunning } = rig();
    begin([A]);
    begin([B]);
    begin([C]);
    const last = settling(C);
    assert.deepEqual(calls, ['10.0.0.1']);
    await end();
    assert.deepEqual([calls, last.state], [['10.0.0.1', '10.0.0.2,10.0.0.3'], 'waiting']);
    await end();
    assert.deepEqual([last.state, isRunning()], ['settled', false]);
  });

  it('is silent about a failed purge, which whoever needs the address tries again', async () => {
    const { begin, calls, settling, end, isRunning } = rig();
    begin([A, B]);
    await end(new Error('first'));
    assert.equal(isRunning(), false);
    const other = settling(C);
    await setImmediate();
    assert.deepEqual([other.state, calls.length], ['settled', 1]);
    const own = settling(A);
    await setImmediate();
    assert.deepEqual([own.state, calls], ['waiting', ['10.0.0.1,10.0.0.2', '10.0.0.1,10.0.0.2']]);
    await end();
    assert.equal(own.state, 'settled');
  });

  it('rejects when the purge fails again, until one succeeds', async () => {
    const { begin, calls, settling, end } = rig();
    begin([A]);
    await end(new Error('first'));
    const own = settling(A);
    await end(new Error('second'));
    assert.equal(own.state, 'second');
    const next = settling(A);
    await end();
    assert.deepEqual([next.state, calls.length], ['settled', 3]);
  });

  it('tells whoever waits already that the purge has failed', async () => {
    const { begin, settling, end } = rig();
    begin([A]);
    const own = settling(A);
    await end(new Error('first'));
    assert.equal(own.state, 'first');
  });

  it('tries what has failed again together with what is begun next', async () => {
    const { begin, calls, settling, end } = rig();
    begin([A]);
    await end(new Error('first'));
    begin([B]);
    assert.equal(calls[1], '10.0.0.1,10.0.0.2');
    await end();
    const own = settling(A);
    await setImmediate();
    assert.equal(own.state, 'settled');
  });
});

// Devices come and go while the agent runs: it hears of them, is not troubled by those of pods, and says what it cannot do.
//
//   netns weir-wd<pid>:  lo   up0 -- up1   lxc9 -- lxc8

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ip } from './ip.ts';
import { linkNames, watchLinks } from './link-events.ts';
import { removeNetns } from './teardown.ts';
import { type DeviceWatch, watchDevices } from './watch-devices.ts';

/** Far more than it takes, far less than the look that is made in any case. */
const SOON_MS = 5_000;
const QUIET_MS = 500;

async function soon(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + SOON_MS;
  while (!holds()) {
    assert.ok(performance.now() < deadline, what);
    await sleep(20);
  }
}

for (const { what, bytes, names } of [
  { what: 'nothing', bytes: [], names: [] },
  { what: 'a message about something else', bytes: [16, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], names: [] },
  { what: 'a message that was cut', bytes: [99, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], names: [undefined] },
  { what: 'a length of nothing', bytes: new Array(32).fill(0), names: [undefined] },
  { what: 'a link without name', bytes: [32, 0, 0, 0, 16, ...new Array(27).fill(0)], names: [undefined] },
]) {
  test(`linkNames reads ${what}`, () => assert.deepEqual(linkNames(Uint8Array.from(bytes)), names));
}

describe('devices that come and go', { skip: process.getuid?.() !== 0 && 'needs root' }, () => {
  const name = `weir-wd${process.pid}`;
  const netns = `/run/netns/${name}`;
  before(() => ip([`netns add ${name}`]));
  after(() => removeNetns([name]));

  test('watchLinks tells of links that concern it, of no others, and of nothing once it is stopped', async () => {
    let told = 0;
    const stop = watchLinks(netns, { concerns: (link) => !link.startsWith('lxc'), onChange: () => told++ });
    using _ = { [Symbol.dispose]: stop };
    for (const command of [
      'link add up0 type veth peer name lxc0',
      'link set up0 up',
      'link set up0 name up1',
      'link del up1',
    ]) {
      await sleep(150); // each in a look of its own
      const before = told;
      await ip([command], { netns });
      await soon(`"${command}" is heard`, () => told > before);
    }
    await sleep(150);
    const before = told;
    await ip(['link add lxc9 type veth peer name lxc8', 'link set lxc9 up', 'link del lxc9'], { netns });
    await sleep(QUIET_MS);
    assert.equal(told, before);
    stop();
    await ip(['link add up0 type veth peer name lxc0', 'link del up0'], { netns });
    await sleep(QUIET_MS);
    assert.equal(told, before);
  });

  test('watchLinks tells of a change though there were too many to hear of', async () => {
    let told = 0;
    using _ = {
      [Symbol.dispose]: watchLinks(netns, { concerns: (link) => link === 'nobody', onChange: () => told++ }),
    };
    await ip(['link add up0 type veth peer name lxc0'], { netns });
    await sleep(QUIET_MS);
    assert.equal(told, 0);
    const changes = Array.from({ length: 1_000 }, (_, i) => `link set up0 mtu ${1_000 + i}`);
    execFileSync('ip', ['-n', name, '-batch', '-'], { input: changes.join('\n') }); // nobody reads meanwhile
    await soon('the loss is a change', () => told > 0);
    await ip(['link del up0'], { netns });
  });

  describe('watchDevices', () => {
    let attached: Map<string, number>;
    let refused: string | undefined;
    let isPoliced: boolean;
    let watch: DeviceWatch;
    beforeEach(async () => {
      attached = new Map();
      refused = undefined;
      isPoliced = false;
      await ip(['link add up0 type veth peer name lxc0'], { netns });
      watch = await watchDevices({
        netns,
        datapath: {
          attachDevice(device, index) {
            if (device === refused) throw new Error('refused');
            attached.set(device, index);
            return 'tcx';
          },
          detachDevice: (device) => void attached.delete(device),
          pinned: () => ({ maps: [], programs: [], interfaces: [], cgroup: true }),
        },
        log: { info: () => {}, error: () => {} },
        isPoliced: () => isPoliced,
      });
    });
    afterEach(async () => {
      await watch.close();
      await ip(['link del up0', 'link del up1', 'link del tun0'], { netns, force: true });
    });

    test('has attached to what is there, and attaches to what comes, anew to another of the same name', async () => {
      assert.deepEqual([...attached.keys()], ['up0']);
      await ip(['link add up1 type veth peer name lxc1'], { netns });
      await soon('up1 is attached', () => attached.has('up1'));
      const before = attached.get('up1');
      await ip(['link del up1', 'link add up1 type veth peer name lxc1'], { netns });
      await soon('the new up1 is attached', () => attached.has('up1') && attached.get('up1') !== before);
      await ip(['link del up1'], { netns });
      await soon('up1 is forgotten', () => !attached.has('up1'));
      assert.equal(watch.problem(), undefined);
    });

    test('says what it cannot attach to, and tries again by itself', async () => {
      refused = 'up1';
      await ip(['link add up1 type veth peer name lxc1'], { netns });
      await soon('it says so', () => watch.problem() === 'Cannot police device "up1": refused');
      assert.ok(!attached.has('up1'));
      refused = undefined;
      await soon('it has tried again', () => attached.has('up1') && watch.problem() === undefined);
    });

    test('says what cannot be policed while the node is under policy', async () => {
      await ip(['tuntap add tun0 mode tun', 'link set tun0 up'], { netns });
      await sleep(QUIET_MS);
      assert.equal(watch.problem(), undefined);
      isPoliced = true;
      assert.equal(watch.problem(), 'Cannot police device "tun0": it has no Ethernet headers');
      await ip(['link set tun0 down'], { netns });
      await soon('one that is down is none', () => watch.problem() === undefined);
    });

    test('does nothing once it is closed', async () => {
      await watch.close();
      await ip(['link add up1 type veth peer name lxc1'], { netns });
      await sleep(QUIET_MS);
      assert.ok(!attached.has('up1'));
    });
  });
});

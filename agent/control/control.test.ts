// Over 300 lines: every case needs the stand-in worker on a real stream that stands at the beginning.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import { loadService } from '#api/load.ts';
import { identity, rulesetId } from '#common/ids.ts';
import { endpointOf } from '../compute/scene.fixture.ts';
import { type ProcessId, processId } from '../node/process.ts';
import type { RulesetRow } from '../ruleset-rows.ts';
import { createTables, type Tables } from '../tables.ts';
import { createProxyControl, type ProxyControl } from './control.ts';

interface Update {
  readonly version: number;
  readonly full: boolean;
  readonly rulesets: readonly { readonly id: number; readonly peers: readonly Record<string, unknown>[] }[];
  readonly removedRulesets: readonly number[];
  readonly workloads: readonly { readonly pod: string; readonly address: Buffer }[];
  readonly removedWorkloads: readonly Buffer[];
}
interface TestWorker {
  readonly updates: Update[];
  readonly drains: number[];
  readonly ended: Promise<string>;
  acks: boolean;
  send(message: object): void;
  close(): void;
}

const directory = mkdtempSync(join(tmpdir(), 'weir-control-'));
const path = join(directory, 'proxy.sock');
const cleanups: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
process.on('exit', () => rmSync(directory, { recursive: true, force: true }));

async function start(
  tables: Tables,
  more: Partial<Parameters<typeof createProxyControl>[0]> = {},
): Promise<ProxyControl> {
  const control = await createProxyControl({
    path,
    desired: tables.desired,
    onRecords: () => {},
    ackTimeoutMs: 5000,
    ...more,
  });
  cleanups.push(() => control.close());
  return control;
}

function attach(hello: object | null = { slot: 0, pid: 42, build: 'b', version: 0 }): TestWorker {
  const service = loadService({
    file: 'proxy.proto',
    name: 'weir.proxy.v1.ProxyControl',
    camelCase: true,
    longs: 'number',
  });
  const method = service.Attach;
  assert.ok(method);
  const client = new Client(`unix:${path}`, credentials.createInsecure());
  const stream: ClientDuplexStream<object, { update?: Update; drain?: { timeoutMs: number } }> =
    client.makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize as (bytes: Buffer) => { update?: Update; drain?: { timeoutMs: number } },
    );
  const ended = Promise.withResolvers<string>();
  const worker: TestWorker = {
    updates: [],
    drains: [],
    ended: ended.promise,
    acks: true,
    send: (message) => void stream.write(message),
    close: () => stream.cancel(),
  };
  stream.on('data', ({ update, drain }) => {
    if (drain) worker.drains.push(drain.timeoutMs);
    if (!update) return;
    worker.updates.push(update);
    if (worker.acks) stream.write({ ack: { version: update.version } });
  });
  stream.on('error', (error) => ended.resolve(error.message));
  stream.on('end', () => ended.resolve('end'));
  if (hello) stream.write({ hello });
  cleanups.push(() => {
    stream.cancel();
    client.close();
  });
  return worker;
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(condition(), `never: ${what}`);
}

const NO_RULES = { http: [], kafka: [], dns: [], generic: [], serverNames: [] };
const NOTHING = { ...NO_RULES, wildcard: false, lifts: [], policies: [], refused: false, denied: NO_RULES };
const KEY = 'CiliumNetworkPolicy default/';
const HEADERS = ['x', 'y'].map((name) => ({ name, value: name === 'x' ? undefined : '' }));
const ruleset = (id: number, method: string): RulesetRow => ({
  id: rulesetId(id),
  subject: identity(300),
  direction: 'ingress',
  port: 80,
  rules: [
    {
      ...NOTHING,
      peers: [identity(301)],
      http: [
        {
          method,
          path: '/a',
          host: '',
          headers: HEADERS,
          policy: `${KEY}p`,
        },
      ],
    },
    {
      ...NOTHING,
      peers: 'any',
      wildcard: true,
      policies: [`${KEY}q`],
      denied: { ...NO_RULES, http: [{ method: '', path: '/b', host: '', headers: [], policy: `${KEY}r` }] },
    },
  ],
});
const set = (tables: Tables, row: RulesetRow): void => tables.desired.rulesets.set(String(row.id), row);
const pod = (name: string, n: number): Parameters<Tables['desired']['endpoints']['set']>[1] => ({
  identity: identity(300),
  endpoint: endpointOf(
    {
      kind: 'Pod',
      namespace: 'default',
      name,
      labels: {},
      annotations: {},
      origin: { file: '', line: 0 },
      audit: false,
      spec: { serviceAccount: 'default', containers: [], restartPolicy: 'Always' },
    },
    n,
  ),
});

describe('createProxyControl', () => {
  it('gives a worker everything on attach, then what changes, in the three steps of an update', async () => {
    const tables = createTables();
    set(tables, ruleset(1, 'GET'));
    tables.desired.endpoints.set('default/a', pod('a', 10));
    const control = await start(tables);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(statSync(path).uid, 65534);
    const worker = attach();
    await until('attached', () => control.workers('running').length === 1);
    assert.equal(worker.updates.length, 0, 'a new agent knows nothing yet: the worker keeps what it has');
    assert.deepEqual(await control.publish('new'), []);
    await control.publish('changed');
    await until('workloads', () => worker.updates.length === 2);
    const [first, second] = worker.updates;
    assert.deepEqual([first?.full, first?.rulesets.length, first?.workloads.length], [true, 1, 0]);
    assert.deepEqual(first?.rulesets[0]?.peers[0]?.identities, [301]);
    assert.deepEqual(first?.rulesets[0]?.peers[0]?.http, [
      { method: 'GET', path: '/a', host: '', policy: `${KEY}p`, headers: [{ name: 'x' }, { name: 'y', value: '' }] },
    ]);
    assert.deepEqual(first?.rulesets[0]?.peers[1], {
      anyPeer: true,
      identities: [],
      wildcard: true,
      http: [],
      policies: [`${KEY}q`],
      refused: false,
      denied: [{ method: '', path: '/b', host: '', policy: `${KEY}r`, headers: [] }],
      otherParsers: false,
    });
    assert.deepEqual([second?.full, second?.workloads.map((w) => w.pod)], [false, ['a', 'a']]);

    set(tables, ruleset(1, 'POST'));
    set(tables, ruleset(2, 'GET'));
    tables.desired.endpoints.delete('default/a');
    await control.publish('new');
    assert.deepEqual(
      worker.updates[2]?.rulesets.map((r) => r.id),
      [2],
    );
    await control.publish('changed');
    assert.deepEqual(
      worker.updates[3]?.rulesets.map((r) => r.id),
      [1],
    );
    assert.equal(worker.updates[3]?.removedWorkloads.length, 2);
    tables.desired.rulesets.delete('1');
    await control.publish('changed');
    assert.equal(worker.updates.length, 4, 'removals come last');
    await control.publish('removed');
    await until('removal', () => worker.updates.length === 5);
    assert.deepEqual(worker.updates[4]?.removedRulesets, [1]);
    assert.deepEqual(
      control.workers().map((w) => [w.slot, w.pid, w.sent, w.late]),
      [[0, 42, 5, false]],
    );

    const second2 = attach({ slot: 1, pid: 43, build: 'b', version: 5 });
    await until('full update', () => second2.updates.length === 1);
    assert.deepEqual([second2.updates[0]?.full, second2.updates[0]?.rulesets.map((r) => r.id)], [true, [2]]);
  });

  it('names workers that do not acknowledge in time, and goes on', async () => {
    const tables = createTables();
    const control = await start(tables, { ackTimeoutMs: 100 });
    const [good, bad] = [attach(), attach({ slot: 1, pid: 43, build: 'b', version: 0 })];
    bad.acks = false;
    await until('attached', () => control.workers('running').length === 2);
    set(tables, ruleset(1, 'GET'));
    assert.deepEqual(await control.publish('new'), [1]);
    assert.deepEqual(
      control.workers('running').map((w) => w.late),
      [false, true],
    );
    bad.send({ ack: { version: 1 } });
    await until('acknowledged', () => control.workers('running').every((w) => !w.late));
    assert.equal(good.updates.length, 1);
  });

  it('names one as late that attaches later and does not acknowledge what it has missed', async () => {
    const tables = createTables();
    set(tables, ruleset(1, 'GET'));
    const control = await start(tables, { ackTimeoutMs: 100 });
    await control.publish('new');
    const worker = attach();
    worker.acks = false;
    await until('late', () => control.workers('running').some(({ late }) => late));
    assert.deepEqual(control.workers(), []);
    worker.send({ ack: { version: 1 } });
    await until('in step', () => control.workers().some(({ late }) => !late));
  });

  it('cuts off a worker that acknowledges nothing, and gives it everything when it comes back', async () => {
    const tables = createTables();
    const control = await start(tables, { ackTimeoutMs: 1 });
    const bad = attach();
    bad.acks = false;
    await until('attached', () => control.workers('running').length === 1);
    for (let n = 0; n < 40; n++) {
      set(tables, ruleset(1, `M${n}`));
      await control.publish('changed');
    }
    assert.match(await bad.ended, /Cannot update worker 0: 32 updates are not acknowledged/);
    await until('gone', () => control.workers('running').length === 0);
    const again = attach();
    await until('full update', () => again.updates.length === 1);
    assert.equal(again.updates[0]?.full, true);
  });

  it('hands on access records, drains, and survives a worker that dies', async () => {
    const records: unknown[] = [];
    const tables = createTables();
    const control = await start(tables, { onRecords: (batch, from) => records.push([batch[0]?.timeUnixNs, from]) });
    const worker = attach();
    worker.send({ records: { records: [{ timeUnixNs: '1900000000123456789', method: 'GET' }], dropped: 3 } });
    await until('records', () => records.length === 1);
    assert.deepEqual(records, [['1900000000123456789', { slot: 0, dropped: 3 }]]);
    assert.equal(control.workers('running')[0]?.recordsDropped, 3);
    assert.equal(control.drain(0, 1234), true);
    assert.equal(control.drain(5, 1), false);
    await until('drain', () => worker.drains.length === 1);
    worker.close();
    await until('gone', () => control.workers('running').length === 0);
    set(tables, ruleset(1, 'GET'));
    assert.deepEqual(await control.publish('new'), []);
  });

  describe('of a worker that runs and is not attached', () => {
    const own = processId(process.pid) as ProcessId;
    const before = { pid: own.pid, startTicks: own.startTicks - 1 }; // started before this agent: it may have rules
    const absent = async (
      more: Partial<Parameters<typeof createProxyControl>[0]> = {},
      running: { slot: number; process: ProcessId }[] = [{ slot: 0, process: before }],
    ): Promise<{ tables: Tables; control: ProxyControl; running: { slot: number; process: ProcessId }[] }> => {
      const tables = createTables();
      const control = await start(tables, { ackTimeoutMs: 200, supervised: () => running, ...more });
      return { tables, control, running };
    };

    it('waits until the time is over and names it as late, and a narrowed policy is not in force on it', async () => {
      const { tables, control } = await absent();
      set(tables, ruleset(1, 'GET'));
      const begun = performance.now();
      assert.deepEqual(await control.publish('new'), [0]);
      assert.ok(performance.now() - begun >= 190, 'it was waited for');
      assert.deepEqual(control.workers(), [], 'it is not shown as attached');
      assert.deepEqual(
        control.workers('running').map(({ slot, pid, late }) => [slot, pid, late]),
        [[0, own.pid, true]],
      );
      set(tables, ruleset(1, 'POST'));
      const again = performance.now();
      assert.deepEqual(await control.publish('changed'), [0]);
      assert.ok(performance.now() - again < 100, 'it is waited for once');
    });

    it('waits also where nothing is wanted any more', async () => {
      const { control } = await absent();
      assert.deepEqual(await control.publish('new'), [0]);
      assert.deepEqual(await control.publish('changed'), []);
    });

    it('is content with one that attaches and acknowledges meanwhile, and shows it from then on', async () => {
      const { tables, control } = await absent({ ackTimeoutMs: 5_000 });
      set(tables, ruleset(1, 'GET'));
      const published = control.publish('new');
      await new Promise((resolve) => setTimeout(resolve, 100));
      const worker = attach({ slot: 0, pid: own.pid, build: 'b', version: 7 });
      worker.acks = false;
      await until('full update', () => worker.updates.length === 1);
      assert.deepEqual(control.workers(), [], 'it has not taken up anything yet');
      worker.send({ ack: { version: 1 } });
      assert.deepEqual(await published, []);
      assert.deepEqual(
        control.workers().map(({ slot, pid, late }) => [slot, pid, late]),
        [[0, own.pid, false]],
      );
    });

    it('names one that goes away instead of acknowledging', async () => {
      const { tables, control } = await absent({ ackTimeoutMs: 500 });
      const worker = attach({ slot: 0, pid: own.pid, build: 'b', version: 7 });
      worker.acks = false;
      await until('attached', () => control.workers('running').length === 1);
      set(tables, ruleset(1, 'GET'));
      const published = control.publish('new');
      await until('full update', () => worker.updates.length === 1);
      worker.close();
      assert.deepEqual(await published, [0]);
    });

    it('does not wait for one that has ended, and gives one that starts time to', async () => {
      const { tables, control, running } = await absent({ ackTimeoutMs: 5_000 });
      set(tables, ruleset(1, 'GET'));
      const published = control.publish('new');
      running.length = 0;
      assert.deepEqual(await published, []);
      assert.deepEqual(control.workers('running'), []);

      const young = { pid: own.pid, startTicks: own.startTicks + 1 }; // has no rules: it denies
      const starting = await absent({ ackTimeoutMs: 20, path: `${path}2` }, [{ slot: 0, process: young }]);
      set(starting.tables, ruleset(1, 'GET'));
      assert.deepEqual(await starting.control.publish('new'), [0]);
      assert.deepEqual(
        starting.control.workers('running').map(({ late }) => late),
        [false],
        'not to be replaced yet',
      );
    });
  });

  it('lets the successor of a worker take its slot', async () => {
    const control = await start(createTables());
    const [old] = [attach()];
    await until('attached', () => control.workers('running').length === 1);
    attach({ slot: 0, pid: 99, build: 'c', version: 0 });
    await old.ended;
    await until('successor', () => control.workers('running')[0]?.pid === 99);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(control.workers('running').length, 1, 'the end of the old one does not take the new one out');
  });

  const BAD = [
    { name: 'no hello first', hello: null, send: { ack: { version: 1 } }, error: /the first message is no hello/ },
    {
      name: 'a slot out of range',
      hello: { slot: 64, pid: 1, build: '' },
      send: undefined,
      error: /slot 64 is over 63/,
    },
  ];
  for (const { name, hello, send, error } of BAD) {
    it(`refuses ${name}`, async () => {
      const control = await start(createTables());
      const worker = attach(hello);
      if (send) worker.send(send);
      assert.match(await worker.ended, error);
      assert.equal(control.workers().length, 0);
    });
  }

  it('removes its socket when it closes, and takes over one that was left', async () => {
    const control = await createProxyControl({ path, desired: createTables().desired, onRecords: () => {} });
    const next = await createProxyControl({ path, desired: createTables().desired, onRecords: () => {} });
    await next.close();
    await control.close();
    assert.equal(existsSync(path), false);
  });
});

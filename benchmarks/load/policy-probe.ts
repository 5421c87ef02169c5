// Runs in the client's namespace: replaces a policy file and asks until the answer changes. Prints latencies in ms as JSON.

import { renameSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { policy } from '../peers/weir-policy.ts';

interface Job {
  readonly address: string;
  readonly port: number;
  readonly file: string;
  readonly draft: string;
  readonly changes: number;
}

const ALLOW = '/';
const DENY = '/nothing-asks-for-this';
const CHANGE_TIMEOUT_MS = 10_000;
/** Answers after a change that must not go back. */
const STEADY_ANSWERS = 50;

const job = JSON.parse(process.argv[2] ?? '') as Job;
const ask = createAsk(connect({ host: job.address, port: job.port, noDelay: true }));
const latencies = { allowToDeny: [] as number[], denyToAllow: [] as number[] };
await expect(200, 'before the first change');
for (let change = 0; change < job.changes; change++) {
  const deny = change % 2 === 0;
  const latencyMs = await changeTo(deny ? DENY : ALLOW, deny ? 403 : 200);
  (deny ? latencies.allowToDeny : latencies.denyToAllow).push(latencyMs);
  await sleep(20 + Math.random() * 60); // not in step with anything that the agent does at intervals
}
console.log(JSON.stringify(latencies));
process.exit(0);

async function changeTo(path: string, status: number): Promise<number> {
  writeFileSync(job.draft, stringify(policy('server', job.port, [{ path }])));
  renameSync(job.draft, job.file);
  const begun = performance.now();
  while ((await ask()) !== status) {
    if (performance.now() - begun > CHANGE_TIMEOUT_MS) throw new Error(`Cannot see ${path} enforced: not after 10 s`);
  }
  const latencyMs = performance.now() - begun;
  await expect(status, `after ${path} was enforced`);
  return latencyMs;
}

async function expect(status: number, when: string): Promise<void> {
  for (let i = 0; i < STEADY_ANSWERS; i++) {
    const got = await ask();
    if (got !== status) throw new Error(`Cannot trust the policy: answer ${got} instead of ${status} ${when}`);
  }
}

/** Sends a GET on the connection and returns the status of its answer. */
function createAsk(socket: Socket): () => Promise<number> {
  let received = '';
  let wake = (): void => {};
  let failure: Error | undefined;
  const fail = (error?: Error): void => {
    failure = error ?? new Error('Cannot ask: the connection was closed');
    wake();
  };
  socket
    .setEncoding('latin1')
    .on('error', fail)
    .on('close', () => fail(failure));
  socket.on('data', (text: string) => {
    received += text;
    wake();
  });
  return async () => {
    socket.write('GET / HTTP/1.1\r\nHost: server\r\n\r\n');
    for (;;) {
      const end = received.indexOf('\r\n\r\n');
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(received.slice(0, end))?.[1] ?? 0);
      if (end >= 0 && received.length >= end + 4 + length) {
        const status = Number(received.slice(9, 12));
        received = received.slice(end + 4 + length);
        return status;
      }
      if (failure) throw failure;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
}

// A load for tests: requests at a fixed rate over kept-alive or fresh connections. Prints a line for each that ends:
// "<start ms> <end ms> <path> <status or error code>", times since 1970.
//
//   load.ts --target http://10.244.0.5 --paths /a,/b --rate 500 --connections 16 --seconds 10 [--fresh]

import { Agent, request } from 'node:http';
import { parseArgs } from 'node:util';

const TICK_MS = 10;
const TIMEOUT_MS = 5_000;

const { values } = parseArgs({
  options: {
    target: { type: 'string', default: '' },
    paths: { type: 'string', default: '/' },
    rate: { type: 'string', default: '100' },
    connections: { type: 'string', default: '8' },
    seconds: { type: 'string', default: '5' },
    fresh: { type: 'boolean', default: false },
  },
});
const paths = values.paths.split(',');
const perTick = (Number(values.rate) * TICK_MS) / 1000;
const agent = new Agent({ keepAlive: !values.fresh, maxSockets: Number(values.connections) });
const begun = performance.now();
const endsAt = begun + Number(values.seconds) * 1000;

let sent = 0;
const timer = setInterval(() => {
  const now = performance.now();
  if (now >= endsAt) {
    clearInterval(timer);
    return;
  }
  const due = Math.floor(((now - begun) / TICK_MS) * perTick);
  while (sent < due) send(paths[sent++ % paths.length] ?? '/');
}, TICK_MS);

function send(path: string): void {
  const start = Date.now();
  let isDone = false;
  const done = (outcome: string | number): void => {
    if (isDone) return;
    isDone = true;
    console.log(`${start} ${Date.now()} ${path} ${outcome}`);
  };
  const outgoing = request(`${values.target}${path}`, { agent, timeout: TIMEOUT_MS }, (response) => {
    response.resume();
    response.on('end', () => done(response.statusCode ?? 0));
    response.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
  });
  outgoing.on('timeout', () => outgoing.destroy(Object.assign(new Error('timeout'), { code: 'TIMEOUT' })));
  outgoing.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
  outgoing.end();
}

// What spans cost: requests per second with all requests sampled and exported to Zipkin, against none.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bench, inTurns } from '../bench.ts';
import { wrk } from '../load/wrk.ts';
import { nginxMain, nginxPaths } from '../origin.ts';
import { startWeir, type WeirNode } from '../peers/weir.ts';
import { type FigureResult, ratioGoal } from '../result.ts';
import { ALLOWED_PATH } from '../rule.ts';
import { inNetns, output } from '../shell.ts';

const ZIPKIN_PORT = 9411;
const METRICS_PORT = 9970;

/** `plain`: a node without spans. A second one exports to a server on its loopback that takes everything. */
export async function measureSpans(bench: Bench, plain: WeirNode): Promise<FigureResult> {
  const zipkinUrl = `http://127.0.0.1:${ZIPKIN_PORT}`;
  const traced = await startWeir(bench, { name: 'spans', zipkinUrl });
  const netns = traced.layout.netnsPath;
  await bench.serve(inNetns(netns, sinkCommand(bench.directory('sink'))), undefined);
  const peers = [
    { name: 'weir', node: plain },
    { name: 'weir, all requests traced', node: traced },
  ];
  const load = ({ node }: { readonly node: WeirNode }, seconds: number) => {
    const { netns: client, url } = node.peer;
    return wrk({ netns: client, url: `${url}${ALLOWED_PATH}`, seconds, newConnections: false, signal: bench.signal });
  };
  for (const peer of peers) await load(peer, 1);
  const series = await inTurns(bench, {
    what: 'spans',
    peers,
    measure: (peer) => load(peer, bench.options.seconds),
  });
  const goal = ratioGoal(series, {
    text: 'spans at 100 % sampling ÷ none',
    of: 'weir, all requests traced',
    to: ['weir'],
    atLeast: 0.9,
  });
  const metrics = await output(
    inNetns(netns, ['curl', '-s', '--max-time', '5', `http://127.0.0.1:${METRICS_PORT}/metrics`]),
    { signal: bench.signal, timeoutMs: 10_000 },
  );
  return {
    name: 'spans',
    title: 'L7 policy with and without spans',
    unit: 'requests/s',
    series,
    goals: goal ? [goal] : [],
    notes: [`Over the whole run: ${spanCounts(metrics)}.`],
  };
}

/** How many spans arrived and how many did not, from the worker's metrics. */
export function spanCounts(metrics: string): string {
  const lines = metrics.split('\n').filter((line) => /^weir_\w*span\w*(\{|\s)/.test(line));
  const counts = lines.map((line) => line.replace(/^weir_/, '').replace(/\s+(\S+)$/, ' $1'));
  return counts.filter((line) => !/ 0$/.test(line)).join('; ') || 'the worker shows no span metrics';
}

/** A server that takes what it is sent and answers 202, as cheaply as can be. */
function sinkCommand(directory: string): readonly [string, ...string[]] {
  const file = join(directory, 'sink.conf');
  writeFileSync(
    file,
    `${nginxMain(directory)}
http {
${nginxPaths(directory)}
  access_log off;
  keepalive_requests 1000000000;
  client_max_body_size 64m;
  server {
    listen 127.0.0.1:${ZIPKIN_PORT};
    location / { return 202; }
  }
}
`,
  );
  return ['nginx', '-p', directory, '-c', file];
}

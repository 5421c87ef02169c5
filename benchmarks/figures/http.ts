// Requests per second under an L7 policy: on kept connections, and one connection for each request.

import { type Bench, inTurns } from '../bench.ts';
import { wrk } from '../load/wrk.ts';
import type { Peer } from '../peers/peer.ts';
import { type FigureResult, ratioGoal } from '../result.ts';
import { ALLOWED_PATH } from '../rule.ts';

const WARM_UP_SECONDS = 1;

/** GET on 64 kept connections. */
export async function measureL7(bench: Bench, peers: readonly Peer[]): Promise<FigureResult> {
  const series = await measure(bench, peers, { what: 'L7 policy', newConnections: false });
  const goals = [
    ratioGoal(series, { text: 'L7 policy, requests/s ÷ Envoy', of: 'weir', to: ['envoy'], atLeast: 2 }),
    ratioGoal(series, {
      text: 'L7 policy, requests/s ÷ best of nginx, HAProxy',
      of: 'weir',
      to: ['nginx', 'haproxy'],
      atLeast: 0.75,
    }),
  ].filter((goal) => goal !== undefined);
  return { name: 'l7', title: 'L7 policy, kept connections', unit: 'requests/s', series, goals, notes: [] };
}

/** GET with "Connection: close". */
export async function measureConnections(bench: Bench, peers: readonly Peer[]): Promise<FigureResult> {
  const series = await measure(bench, peers, { what: 'new connections', newConnections: true });
  const goal = ratioGoal(series, {
    text: 'new connections/s with L7 policy ÷ Envoy',
    of: 'weir',
    to: ['envoy'],
    atLeast: 0.8,
  });
  return {
    name: 'connections',
    title: 'L7 policy, a new connection for each request',
    unit: 'connections/s',
    series,
    goals: goal ? [goal] : [],
    notes: ['nginx, HAProxy and Envoy keep connections to the server; Weir opens one for each of the client’s.'],
  };
}

async function measure(
  bench: Bench,
  peers: readonly Peer[],
  kind: { readonly what: string; readonly newConnections: boolean },
) {
  const { what, newConnections } = kind;
  const { signal } = bench;
  const load = ({ netns, url }: Peer, seconds: number) =>
    wrk({ netns, url: `${url}${ALLOWED_PATH}`, seconds, newConnections, signal });
  for (const peer of peers) await load(peer, WARM_UP_SECONDS);
  return inTurns(bench, { what, peers, measure: (peer) => load(peer, bench.options.seconds) });
}

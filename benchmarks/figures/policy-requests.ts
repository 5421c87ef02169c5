// Requests per second under an L3/L4 policy: no proxy is in the way.

import { type Bench, inTurns } from '../bench.ts';
import { wrk } from '../load/wrk.ts';
import { HTTP_PORT } from '../origin.ts';
import type { Peer } from '../peers/peer.ts';
import { type FigureResult, ratioGoal } from '../result.ts';
import { ALLOWED_PATH } from '../rule.ts';

/** GET on 64 kept connections. `peers`: no mesh, and Weir's pod with an L4 policy. */
export async function measurePolicyRequests(bench: Bench, peers: readonly Peer[]): Promise<FigureResult> {
  const { options, signal } = bench;
  const load = ({ netns, address }: Peer, seconds: number) =>
    wrk({ netns, url: `http://${address}:${HTTP_PORT}${ALLOWED_PATH}`, seconds, newConnections: false, signal });
  for (const peer of peers) await load(peer, 1);
  const series = await inTurns(bench, {
    what: 'requests under L3/L4 policy',
    peers,
    measure: (peer) => load(peer, options.seconds),
  });
  const goal = ratioGoal(series, {
    text: 'L3/L4 policy, requests/s ÷ no mesh',
    of: 'weir',
    to: ['no mesh'],
    atLeast: 0.97,
  });
  return {
    name: 'policy-requests',
    title: 'L3/L4 policy, kept connections',
    unit: 'requests/s',
    series,
    goals: goal ? [goal] : [],
    notes: [],
  };
}

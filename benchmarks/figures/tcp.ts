// TCP under an L3/L4 policy: round trips and bulk, against plain routing.

import { type Bench, inTurns } from '../bench.ts';
import { bulk, pingPong } from '../load/tcp.ts';
import type { Peer } from '../peers/peer.ts';
import { type FigureResult, ratioGoal } from '../result.ts';

/** Two figures: round trips per second and bits per second. `peers`: no mesh, and Weir's pod with an L4 policy. */
export async function measureTcp(bench: Bench, peers: readonly Peer[]): Promise<FigureResult[]> {
  const { seconds } = bench.options;
  const kinds = [
    { what: 'TCP request/response', title: 'L3/L4 policy, TCP request/response', unit: 'round trips/s', run: pingPong },
    { what: 'TCP bulk', title: 'L3/L4 policy, TCP bulk', unit: 'bit/s', run: bulk },
  ];
  const results: FigureResult[] = [];
  for (const { what, title, unit, run } of kinds) {
    const measure = ({ netns, address }: Peer) => run({ netns, address, seconds, signal: bench.signal });
    const series = await inTurns(bench, { what, peers, measure });
    const goal = ratioGoal(series, {
      text: `${what} under L3/L4 policy ÷ no mesh`,
      of: 'weir',
      to: ['no mesh'],
      atLeast: 0.97,
    });
    results.push({ name: 'tcp', title, unit, series, goals: goal ? [goal] : [], notes: [] });
  }
  return results;
}

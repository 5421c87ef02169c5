// One packet through one program by BPF_PROG_TEST_RUN: verdict, packet, what was counted and reported.

import { testRun } from '#common/native/libbpf.ts';
import type { FlowEvent } from '../abi.ts';
import type { Datapath } from '../loader.ts';
import type { Ring } from '../ring.ts';

/** Verdicts of tc programs (linux/pkt_cls.h). */
export const TC = { unspec: -1, ok: 0, shot: 2, redirect: 7 } as const;

export interface Outcome {
  readonly verdict: number;
  readonly data: Uint8Array;
  readonly mark: number;
  /** Drop reason that was counted; 0: none. */
  readonly reason: number;
  /** enum policy_dir under which it was counted. */
  readonly direction: number;
  readonly events: readonly FlowEvent[];
}
export interface Runner extends Disposable {
  /** Runs `frame` through the program as if it came on `ifindex`; `mark` and `from` are the skb's. */
  run(
    program: 'from_pod' | 'to_pod' | 'from_network' | 'to_network',
    frame: Uint8Array,
    skb: { readonly ifindex: number; readonly mark?: number; readonly from?: number },
  ): Outcome;
}

const SKB_SIZE = 192; // struct __sk_buff
const SKB = { mark: 8, ingressIfindex: 36, ifindex: 40 } as const;

/** Runs packets on `datapath`'s programs. The calling thread must be in the namespace of the interfaces named. */
export function createRunner(datapath: Datapath): Runner {
  const seen: FlowEvent[] = [];
  const ring: Ring = datapath.events((events) => void seen.push(...events));
  return {
    run(program, frame, skb) {
      ring.poll();
      seen.length = 0;
      const before = drops(datapath);
      const context = new Uint8Array(SKB_SIZE);
      const view = new DataView(context.buffer);
      view.setUint32(SKB.mark, skb.mark ?? 0, true);
      view.setUint32(SKB.ingressIfindex, skb.from ?? 0, true);
      view.setUint32(SKB.ifindex, skb.ifindex, true);
      const result = testRun(datapath.programFd(program), { data: frame, context });
      ring.poll();
      const counted = [...drops(datapath)].filter(([key, packets]) => packets !== (before.get(key) ?? 0n));
      if (counted.length > 1) throw new Error(`Cannot tell the drop reason: ${counted.length} were counted`);
      const [reason = 0, direction = 0] = (counted[0]?.[0] ?? '').split(' ').filter(Boolean).map(Number);
      const mark = new DataView(result.context.buffer).getUint32(SKB.mark, true);
      return { verdict: result.retval, data: result.data, mark, reason, direction, events: [...seen] };
    },
    [Symbol.dispose]: () => ring[Symbol.dispose](),
  };
}

function drops(datapath: Datapath): Map<string, bigint> {
  const rows = datapath.counters().filter(({ reason }) => reason !== 0);
  return new Map(rows.map(({ reason, direction, packets }) => [`${reason} ${direction}`, packets]));
}

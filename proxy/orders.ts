// What the two threads of a worker tell each other.

import type { LivePair } from './enforce/adopt.ts';
import type { Limits } from './limits.ts';
import type { SlabMemory } from './records/slab.ts';
import type { RulesOrder } from './rules/ruleset.ts';

/** Main thread to data thread; an eventfd is written after each. */
export type Order =
  | { readonly kind: 'rules'; readonly order: RulesOrder }
  | { readonly kind: 'adopt'; readonly pair: LivePair }
  /** How many sampled requests a second become spans. */
  | { readonly kind: 'sample at most'; readonly perSecond: number }
  | { readonly kind: 'drain' }
  | { readonly kind: 'stop' };

/** Data thread to main thread. */
export type Report =
  /** A rules order is in force for every connection. */
  | { readonly kind: 'applied'; readonly version: number }
  /** A list of policies has a number now; it comes before any record that names it. */
  | { readonly kind: 'policies'; readonly number: number; readonly names: readonly string[] }
  /** No record that begins from now on names these lists. */
  | { readonly kind: 'policies retired'; readonly numbers: readonly number[] }
  /** Records wait. Not sent again before the bell is armed. */
  | { readonly kind: 'records' }
  | { readonly kind: 'problem'; readonly text: string };

/** Where a data thread's connections come from. */
export type SourceOrder =
  | {
      readonly kind: 'steered';
      readonly listener: number;
      readonly conntrack: number;
      readonly nodeConfig: number;
      readonly endpointAddrs: number;
    }
  | {
      readonly kind: 'plain';
      readonly listener: number;
      readonly serverAddress: string;
      readonly serverPort: number;
      readonly sourceIdentity: number;
      readonly destinationIdentity: number;
      readonly egressRuleset: number;
      readonly ingressRuleset: number;
    };

export interface DataThreadOptions {
  readonly source: SourceOrder;
  readonly limits: Limits;
  readonly counters: SharedArrayBuffer;
  readonly slab: SlabMemory;
  /** One Int32: 1 while the main thread wants a 'records' report. */
  readonly bell: SharedArrayBuffer;
  /** Eventfd that tells of orders. */
  readonly wake: number;
  /** undefined: no spans. */
  readonly samplingRatio: number | undefined;
}

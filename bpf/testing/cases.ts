// Tables of packets that a pod sends, and what from_pod says to each.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DROP_REASONS, FLOW_DROP, POLICY_EGRESS } from '../abi.ts';
import type { Ends } from './packet.ts';
import { TC } from './run.ts';
import { CLIENT, FAMILIES, type Family, type Scene } from './scene.ts';

export interface SentCase {
  readonly what: string;
  /** The frame, made from what an honest packet from client to server would carry. */
  readonly frame: (ends: Ends) => Uint8Array;
  /** Drop reason; 0: passes. */
  readonly reason: number;
  readonly families?: readonly Family[];
}

/** One test for each case and family: verdict, counter and drop event. */
export function checkSent(scene: () => Scene, cases: readonly SentCase[]): void {
  for (const { what, frame, reason, families = FAMILIES } of cases) {
    for (const family of families) {
      test(`IPv${family}: ${what}`, () => {
        const { client, server, ends, fromPod } = scene();
        const outcome = fromPod(client, frame(ends(client, server, family)));
        assert.equal(DROP_REASONS[outcome.reason]?.name, DROP_REASONS[reason]?.name);
        assert.equal(outcome.verdict === TC.shot, reason !== 0);
        if (reason === 0) return;
        assert.equal(outcome.direction, POLICY_EGRESS);
        assert.equal(outcome.events.length, 1);
        assert.equal(outcome.events[0]?.kind, FLOW_DROP);
        assert.equal(outcome.events[0]?.reason, reason);
        assert.equal(outcome.events[0]?.sourceIdentity, CLIENT.identity);
      });
    }
  }
}

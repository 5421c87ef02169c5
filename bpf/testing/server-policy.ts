// What tests of the look-up in policy start from: a client that may send, a server whose ingress is written by hand.

import assert from 'node:assert/strict';
import { after, before, beforeEach } from 'node:test';
import type { EditionUse } from '../abi.ts';
import type { DatapathMaps } from '../maps.ts';
import { type EntryAction, type EntryOptions, filterOf, writeEntry, writePeer } from './policy.ts';
import { CLIENT, createScene, type Scene, SERVER, syn } from './scene.ts';
import { createVerdicts, type SideVerdict, type Verdicts } from './verdict.ts';

/** Set of peers (0: any peer), action, and what else. */
export type Entry = readonly [number, EntryAction, EntryOptions?];
export type Answer = Partial<SideVerdict>;

export interface ServerPolicy {
  readonly scene: Scene;
  readonly maps: DatapathMaps;
  /**
   * Writes an edition. Precedence, unless told: deny and audit, refuse and redirect, allow. The cookie of an entry is its
   * place (from 1), and its ruleset 10 more if it has to do with the proxy.
   */
  write(edition: number, entries: readonly Entry[]): void;
  /** Puts editions in force. */
  use(change: Partial<EditionUse>): void;
  /** Writes EDITION and puts it in force, with the filter of its sets. */
  enforce(...entries: readonly Entry[]): void;
  /** Puts the client into the sets. */
  join(...sets: readonly number[]): void;
  /** The server's policy says so of the client's SYN to port 80; what is not in `expected` does not matter. */
  says(expected: Answer, what?: string): void;
}

export const EDITION = 10;
export const NO_EDITION: EditionUse = { edition: 0, also: 0, filter: [] };
const PRECEDENCE = { allow: 1, redirect: 2, refuse: 2, deny: 3, audit: 3 } as const;

/** The node of the test file that calls this: built before its tests, emptied before each, gone after them. */
export function useServerPolicy(name: string): ServerPolicy {
  let scene: Scene;
  let verdicts: Verdicts;
  before(async () => {
    scene = await createScene(name);
    verdicts = createVerdicts(scene.topology);
  });
  after(() => {
    verdicts?.[Symbol.dispose]();
    scene?.[Symbol.dispose]();
  });
  beforeEach(() => {
    scene.reset();
    scene.rule(CLIENT.identity, 'egress', 'allow');
  });
  const rig: ServerPolicy = {
    get scene() {
      return scene;
    },
    get maps() {
      return scene.topology.datapath.maps;
    },
    write(edition, entries) {
      for (const [i, [peers, action, options]] of entries.entries()) {
        const ruleset = action === 'redirect' || action === 'refuse' ? 11 + i : 0;
        const precedence = PRECEDENCE[action];
        writeEntry(rig.maps, { edition, peers, action, precedence, ruleset, cookie: 1 + i, ...options });
      }
    },
    use: (change) =>
      rig.maps.subjects.set(SERVER.identity, {
        identity: SERVER.identity,
        ingress: { ...NO_EDITION, ...change },
        egress: NO_EDITION,
      }),
    enforce(...entries) {
      rig.write(EDITION, entries);
      rig.use({ edition: EDITION, filter: filterOf(entries.map(([peers]) => peers).filter((peers) => peers > 0)) });
    },
    join: (...sets) => writePeer(rig.maps, CLIENT.identity, sets),
    says(expected, what) {
      scene.revise();
      const frame = syn(scene.ends(scene.client, scene.server, 4));
      const ingress = verdicts.ask({ program: 'from_pod', frame, ifindex: scene.client.ifindex })?.ingress;
      assert.ok(ingress, 'the server was asked');
      const about = { ...ingress, what };
      assert.deepEqual(about, { ...about, ...expected });
    },
  };
  return rig;
}

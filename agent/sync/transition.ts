// From the entries that a subject has to those it shall have, one write after the other, so that at no moment a packet
// gets more than the old or the new policy gives, nor a refusal where both let it pass.
//
//  1. Two stages. `tighten` goes from the old policy O to the middle M, which gives every packet the narrower of what O
//     and the new policy N give; on the way nobody gets more than O gave. `loosen` goes from M to N; nobody gets more
//     than N gives. Stage one is finished for all subjects and both directions before stage two begins for any. So what
//     passes egress here and ingress there passed both before, or passes both afterwards.
//  2. What a packet meets is the longest match under its peer and the longest match under any peer. A peer whose own
//     entries and any-peer entries cannot be moved independently is first isolated: at every key of either table it
//     gets an entry with a precedence above all others, so that any-peer entries can change behind it.
//  3. Within a table, keys are written longest first: a key never hides a longer one that is not there yet.
//  4. An entry that goes, but would uncover a wider one, first takes over what the new policy says at its key.
//  5. Isolation ends shortest first: what an isolated key uncovers is final already.
//  6. If only one peer's entries change, and only in one direction (all narrower or all wider), it needs no isolation:
//     deny before redirect before allow, then deletes of allow before redirect before deny. If some get narrower and some
//     wider, and there are entries of its own that say the middle, it goes there and on from there in the same way.
//  7. When stage one would take more room than there is, the subject is blocked instead: its any-peer entries deny all
//     new connections while the rest changes in any order. Nothing too much passes, but something may be refused for a
//     moment. Without room for even one entry, every entry that exists is made to deny. Stage two needs no such care: it
//     may end anywhere.
//  8. Entries for an identity that no packet can have yet are all put in in stage one, and those for one that no packet
//     will have any more stay what they were until stage two. Whoever changes from the one to the other in between is
//     not refused on the way what both let pass.

import type { Identity } from '#common/ids.ts';
import { type L4, L4_ALL, l4Covers, l4Key } from '../policy/l4.ts';
import { directWrites, ISOLATED, isMonotone, middleOf } from './direct-writes.ts';
import {
  decide,
  decidesLike,
  type Entry,
  entryAt,
  longestMatch,
  NO_ENTRIES,
  NONE,
  type PeerTable,
  type SubjectTable,
  sameEntry,
  sameWrite,
  wideness,
} from './verdict.ts';

/** One write: the entry, or undefined to delete what is at the key. */
export interface Write {
  readonly peer: Identity;
  readonly l4: L4;
  readonly entry: Entry | undefined;
}

export interface Transition {
  readonly tighten: readonly Write[];
  readonly loosen: readonly Write[];
}

const ANY = 0 as Identity;
/** Above what a plan that was not carried out has left isolated. */
const BLOCKED = 0xffff_ffff;

export interface TransitionOptions {
  /** Peers whose entries may differ (0: any peer). */
  readonly peers: Iterable<Identity>;
  /** How many entries more than now may be in the map. */
  readonly room: number;
  /** Whether to block the subject in any case: for one that did not get through, although all of it would fit. */
  readonly mustBlock?: boolean;
  /** Whether no packet can have the identity before stage one is over. */
  readonly isFresh?: (peer: Identity) => boolean;
  /** Whether no packet can have the identity once stage two begins. */
  readonly isLeaving?: (peer: Identity) => boolean;
}

/** Plans the writes from `before` to `after`. */
export function planTransition(before: SubjectTable, after: SubjectTable, options: TransitionOptions): Transition {
  const any = planAny(before.get(ANY) ?? NO_ENTRIES, after.get(ANY) ?? NO_ENTRIES);
  const peers = new Set(options.peers);
  if (any.changed) for (const peer of [...before.keys(), ...after.keys()]) peers.add(peer);
  peers.delete(ANY);
  const tighten: Write[] = [];
  const unwind: Write[] = [];
  for (const peer of peers) {
    const tables = {
      peer,
      before: before.get(peer) ?? NO_ENTRIES,
      after: after.get(peer) ?? NO_ENTRIES,
      isFresh: options.isFresh?.(peer) ?? false,
      isLeaving: options.isLeaving?.(peer) ?? false,
    };
    const plan = planPeer(tables, any);
    tighten.push(...plan.tighten);
    unwind.push(...plan.loosen);
  }
  tighten.push(...any.tighten);
  if (options.mustBlock || newKeys(before, tighten) > options.room) {
    return block(before, after, { peers: [...peers], room: options.room });
  }
  return { tighten, loosen: [...any.loosen, ...unwind] };
}

/** By how many entries the writes make a table grow, at most. */
export function newKeys(before: SubjectTable, writes: readonly Write[]): number {
  return writes.filter(({ peer, l4, entry }) => entry && !before.get(peer)?.has(l4Key(l4))).length;
}

interface AnyPlan extends Transition {
  readonly changed: boolean;
  readonly keys: readonly L4[]; // longest first
  readonly before: PeerTable;
  readonly middle: PeerTable;
  readonly after: PeerTable;
}

function planAny(before: PeerTable, after: PeerTable): AnyPlan {
  const keys = keysOf(before, after);
  const changed = keys.some((l4) => !sameEntry(before.get(l4Key(l4)), after.get(l4Key(l4))));
  if (!changed) {
    const loosen = cookieWrites(ANY, before, after);
    return { changed, keys, before, middle: before, after, tighten: [], loosen };
  }
  const all = new Set(keys.map(l4Key));
  const middle = new Map<number, Entry>();
  const tighten: Write[] = [];
  for (const l4 of keys) {
    const said = narrower(longestMatch(before, l4), longestMatch(after, l4));
    const old = before.get(l4Key(l4));
    // Nothing wider would be uncovered: absence says it as well.
    const bare = !said && !l4Covers(l4).some((wider) => wider.bits < l4.bits && all.has(l4Key(wider)));
    const entry = bare ? undefined : entryAt(l4, said);
    if (entry) middle.set(l4Key(l4), entry);
    if (!sameWrite(old, entry)) tighten.push({ peer: ANY, l4, entry });
  }
  const loosen: Write[] = [];
  const deletes: Write[] = [];
  for (const l4 of keys) {
    const key = l4Key(l4);
    const entry = after.get(key) ?? (middle.has(key) ? entryAt(l4, longestMatch(after, l4)) : undefined);
    if (entry && !sameWrite(middle.get(key), entry)) loosen.push({ peer: ANY, l4, entry });
    if (entry && !after.has(key)) deletes.push({ peer: ANY, l4, entry: undefined });
  }
  return { changed, keys, before, middle, after, tighten, loosen: [...loosen, ...deletes] };
}

interface PeerTables {
  readonly peer: Identity;
  readonly before: PeerTable;
  readonly after: PeerTable;
  readonly isFresh: boolean;
  readonly isLeaving: boolean;
}

interface Step {
  readonly l4: L4;
  /** What the table says now, whoever may meet it. */
  readonly is: Entry | undefined;
  readonly old: Entry | undefined;
  readonly next: Entry | undefined;
  readonly middle: Entry | undefined;
}

// What the peer meets at each key before, in the middle and after; for number 8, what it may be given at once.
function stepsOf({ before, after, isFresh, isLeaving }: PeerTables, any: AnyPlan, keys: readonly L4[]): Step[] {
  return keys.map((l4) => {
    const is = decide(before, any.before, l4);
    const will = decide(after, any.after, l4);
    const old = isFresh ? will : is;
    const next = isLeaving && !isFresh ? is : will;
    return { l4, is, old, next, middle: narrower(old, next) };
  });
}

function planPeer(tables: PeerTables, any: AnyPlan): Transition {
  const { peer, before, after } = tables;
  const own = keysOf(before, after);
  const keys = merge(own, any.keys);
  const steps = stepsOf(tables, any, keys);
  const still = own.every((l4) => sameEntry(before.get(l4Key(l4)), after.get(l4Key(l4))));
  if (still && steps.every((s) => decidesLike(decide(before, any.middle, s.l4), s.middle))) {
    return { tighten: [], loosen: cookieWrites(peer, before, after) };
  }
  if (!any.changed && isMonotone(before)) {
    const writes = directWrites(tables, own);
    if (tables.isFresh) return { tighten: writes, loosen: [] };
    if (steps.every((s) => wideness(s.old) <= wideness(s.next))) return { tighten: [], loosen: writes };
    if (steps.every((s) => wideness(s.old) >= wideness(s.next))) return { tighten: writes, loosen: [] };
    const middle = tables.isFresh || tables.isLeaving ? undefined : middleOf(tables, any.before, own);
    if (middle && steps.every((s) => decidesLike(decide(middle, any.middle, s.l4), s.middle))) {
      return {
        tighten: directWrites({ peer, before, after: middle }, keysOf(before, middle)),
        loosen: directWrites({ peer, before: middle, after }, keysOf(middle, after)),
      };
    }
  }
  const isolate = (l4: L4, entry: Entry | undefined): Write => ({
    peer,
    l4,
    entry: { ...entryAt(l4, entry), precedence: ISOLATED },
  });
  const needsMiddle = any.changed || steps.some((s) => !decidesLike(s.is, s.middle));
  const loosen: Write[] = [];
  for (const { l4, middle, next } of steps) {
    if (!needsMiddle || !decidesLike(middle, next)) loosen.push(isolate(l4, next));
  }
  for (const l4 of [...keys].reverse()) loosen.push({ peer, l4, entry: after.get(l4Key(l4)) });
  return {
    tighten: needsMiddle ? steps.map((s) => isolate(s.l4, s.middle)) : [],
    loosen,
  };
}

// Number 7. What denies comes first and goes last; in between, entries that go make room for those that come.
function block(
  before: SubjectTable,
  after: SubjectTable,
  { peers, room }: { readonly peers: readonly Identity[]; readonly room: number },
): Transition {
  const oldAny = before.get(ANY) ?? NO_ENTRIES;
  const newAny = after.get(ANY) ?? NO_ENTRIES;
  const shutAny = merge([L4_ALL], keysOf(oldAny)).map((l4) => shut(ANY, l4));
  const isRoom = room > 0 || oldAny.has(l4Key(L4_ALL));
  const shutAll = isRoom ? [] : [...before].flatMap(([peer, entries]) => keysOf(entries).map((l4) => shut(peer, l4)));
  const deletes: Write[] = [];
  const sets: Write[] = [];
  for (const peer of isRoom ? peers : new Set([...before.keys(), ...after.keys()])) {
    if (peer === ANY) continue;
    const [old, next] = [before.get(peer) ?? NO_ENTRIES, after.get(peer) ?? NO_ENTRIES];
    for (const l4 of keysOf(old, next)) {
      const entry = next.get(l4Key(l4));
      if (!entry) deletes.push({ peer, l4, entry });
      else if (!isRoom || !sameWrite(old.get(l4Key(l4)), entry)) sets.push({ peer, l4, entry });
    }
  }
  const open = keysOf(newAny).map((l4): Write => ({ peer: ANY, l4, entry: newAny.get(l4Key(l4)) }));
  const gone = shutAny.flatMap(({ l4 }) => (newAny.has(l4Key(l4)) ? [] : [{ peer: ANY, l4, entry: undefined }]));
  return isRoom
    ? { tighten: shutAny, loosen: [...deletes, ...sets, ...open, ...gone] }
    : { tighten: shutAll, loosen: [...deletes, ...shutAny, ...sets, ...open, ...gone] };
}

function shut(peer: Identity, l4: L4): Write {
  return { peer, l4, entry: { ...NONE, precedence: BLOCKED, l4 } };
}

function keysOf(...tables: readonly PeerTable[]): readonly L4[] {
  const keys = new Map<number, L4>();
  for (const table of tables) for (const [key, entry] of table) keys.set(key, entry.l4);
  return [...keys.values()].sort((a, b) => b.bits - a.bits);
}

function merge(a: readonly L4[], b: readonly L4[]): readonly L4[] {
  const keys = new Map([...a, ...b].map((l4) => [l4Key(l4), l4]));
  return [...keys.values()].sort((x, y) => y.bits - x.bits);
}

function narrower(old: Entry | undefined, next: Entry | undefined): Entry | undefined {
  return wideness(next) < wideness(old) ? next : old;
}

function cookieWrites(peer: Identity, before: PeerTable, after: PeerTable): readonly Write[] {
  return [...after.values()].flatMap((entry) =>
    sameWrite(before.get(l4Key(entry.l4)), entry) ? [] : [{ peer, l4: entry.l4, entry }],
  );
}

// Which policy entry wins. Numbered; bpf/lib/policy.h does the same and cites the numbers.
//
//  1. Entries are for any peer or for a set of peers. A packet is looked up under "any peer" and under each set that its
//     peer belongs to: the longest-prefix match over protocol and port, in each. These entries hold for it.
//  2. Of the entries that hold, the highest precedence wins: deny before redirect and refuse, these before allow.
//  3. Same precedence: the one with more significant protocol and port bits (l4_bits) wins.
//  4. Same l4_bits too: one for a set before the one for any peer.
//  5. No entry holds: denied. Also if all that hold are "refuse", which by itself lets nothing pass.
//
// So that 1 may look only at the longest prefix of each set, whoever fills the map keeps these (policy/entries.ts):
//
//  6. An entry says what all rules for its set say together that cover its whole key, wider ports included. Any deny:
//     deny. Else nothing that allows: refuse (only requests are denied). Else any redirect, or any requests that are
//     denied: redirect. Else allow.
//  7. Hence in one set a longer key never has a lower precedence than a shorter one that covers it.
//  8. A set that wants the proxy has an entry at each key of the whole policy within the ports for which it does: by 3
//     the ruleset that is found is the one of the narrowest key, which knows every rule for that port.

/** What an entry does. */
export type EntryKind = 'allow' | 'deny' | 'redirect' | 'refuse';

// Priority 0, the strongest of 24 bits; all of today's policies have it. Stronger ones are larger numbers.
const PRIORITY = 0xff_ffff * 256;
/** Strength of a listener among L7 kinds, 1..127. One for all: a ruleset knows the rules of every parser. */
const LISTENER_STRENGTH = 27;

/** The precedence field of a policy entry. */
export const PRECEDENCE: Readonly<Record<EntryKind, number>> = {
  allow: PRIORITY,
  redirect: PRIORITY + LISTENER_STRENGTH,
  refuse: PRIORITY + LISTENER_STRENGTH,
  deny: PRIORITY + 128,
};

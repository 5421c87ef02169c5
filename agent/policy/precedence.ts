// Which policy entry wins. Numbered; bpf/lib/policy.h does the same and cites the numbers.
//
//  1. A packet is looked up twice, each a longest-prefix match over protocol and port: under its peer's identity, and
//     under peer 0 (any peer).
//  2. No entry in either lookup: denied.
//  3. One entry: it decides. Two: the higher precedence decides.
//  4. Same precedence: the one with more significant protocol and port bits (l4_bits) decides.
//  5. Same l4_bits too: the peer's own entry decides.
//
// So that 1 may look only at the longest prefix, whoever fills the map keeps these (policy/entries.ts):
//
//  6. An entry says what all rules say together that cover its whole key: those for its peer and those for any peer,
//     wider ports included. Any deny: deny. Else nothing that allows: no entry. Else any redirect, or any requests that
//     are denied: redirect. Else allow.
//  7. Hence under one peer a longer key never has a lower precedence than a shorter one that covers it.
//  8. Where the any-peer rules are cut finer than a peer's own, the peer gets entries of its own at the finer keys if
//     its own rules want the proxy, or the any-peer rules deny requests there: what two lookups find separately would
//     not say what all rules say, and the ruleset that is found is always one that knows every rule for that peer and
//     port.

/** What an entry does. */
export type EntryKind = 'allow' | 'deny' | 'redirect';

// Priority 0, the strongest of 24 bits; all of today's policies have it. Stronger ones are larger numbers.
const PRIORITY = 0xff_ffff * 256;
/** Strength of a listener among L7 kinds, 1..127. One for all: a ruleset knows the rules of every parser. */
const LISTENER_STRENGTH = 27;

/** The precedence field of a policy entry. */
export const PRECEDENCE: Readonly<Record<EntryKind, number>> = {
  allow: PRIORITY,
  redirect: PRIORITY + LISTENER_STRENGTH,
  deny: PRIORITY + 128,
};

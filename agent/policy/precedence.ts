// Which policy entry wins. Numbered; bpf/lib/policy.h does the same and cites the numbers.
//
//  1. A packet is looked up twice, each a longest-prefix match over protocol and port: under its peer's identity, and
//     under peer 0 (any peer).
//  2. No entry in either lookup: denied.
//  3. One entry: it decides. Two: the higher precedence decides.
//  4. Same precedence: the one with more significant protocol and port bits (l4_bits) decides.
//  5. Same l4_bits too: the peer's own entry decides.
//
// So that 1 may look only at the longest prefix, whoever fills the map keeps these (policy/plan.ts):
//
//  6. An entry says what all rules say together that cover its whole key: those for its peer and those for any peer,
//     wider ports included. The strongest kind wins: deny over redirect over allow.
//  7. Hence under one peer a longer key never has a lower precedence than a shorter one that covers it.
//  8. Where the any-peer rules are cut finer than a peer's redirect, the peer gets entries of its own at the finer keys:
//     the ruleset that is found is then always one that knows every rule for that peer and port.

export type EntryKind = 'allow' | 'deny' | 'redirect';

// Priority 0, the strongest of 24 bits; all of today's policies have it. Stronger ones are larger numbers.
const PRIORITY = 0xff_ffff * 256;
/** Strength of an HTTP listener among L7 kinds, 1..127. */
const HTTP_STRENGTH = 27;

/** The precedence field of a policy entry. */
export const PRECEDENCE: Readonly<Record<EntryKind, number>> = {
  allow: PRIORITY,
  redirect: PRIORITY + HTTP_STRENGTH,
  deny: PRIORITY + 128,
};

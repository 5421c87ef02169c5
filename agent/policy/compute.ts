// Incremental policy compute: which subjects and peers a change touches, and nothing else is made anew. README.md has
// the flow.

import { type Cookie, type Identity, type PeerSetId, RESERVED } from '#common/ids.ts';
import type { Labels, PolicyObject } from '#mesh-config/model.ts';
import type { Allocator } from '../identity/allocator.ts';
import type { Desired } from '../tables.ts';
import { createCookies } from './cookies.ts';
import { createPortNames, portLabels } from './named-ports.ts';
import { createPeerSets } from './peer-sets.ts';
import { createPlans } from './plans.ts';
import { createPolicies } from './policies.ts';
import type { Direction } from './rules.ts';
import { createRulesets } from './rulesets.ts';
import { createSelection } from './selection.ts';
import { createSelectorCache } from './selector-cache.ts';
import { type Enforcement, isSpokenOf } from './subject.ts';
import { createSubjects, type Limits, type Subject } from './subjects.ts';
import { createTemplateDiffs, createTemplateStore } from './templates.ts';
import { WATCH, type World } from './world.ts';

export interface PolicyCompute {
  /** A new identity: "source:key=value" labels, "TCP http=8080" ports. A peer at once; a subject only after addSubject. */
  addIdentity(identity: Identity, labels: readonly string[], ports: readonly string[]): void;
  /** The identity must not be a subject any more. */
  removeIdentity(identity: Identity): void;
  /** The identity has an endpoint here: its policy belongs into the map. */
  addSubject(identity: Identity, enforcement: Enforcement): void;
  removeSubject(identity: Identity): void;
  /** Labels of the node itself, whose own traffic policies for nodes are about; undefined: not known. */
  setNode(labels: Labels | undefined): void;
  /** Adds, replaces or (undefined) removes the policy `key` (objectKey). */
  setPolicy(key: string, policy: PolicyObject | undefined): void;
  /** Something of world.ts WATCH has changed. */
  changed(watch: string): void;
  /** Takes in policies that are new or have to be read again. Mentions are held and released here. */
  compile(): void;
  /** Brings the desired tables up to date. Returns the subjects whose enforcement may have changed. */
  recompute(): ReadonlySet<Identity>;
  enforced(subject: Identity): { readonly ingress: boolean; readonly egress: boolean };
  /** Whether policies for nodes select this one. */
  readonly nodeIsSubject: boolean;
  /** Identities that the policy's rules select as subjects. */
  selectedBy(key: string): ReadonlySet<Identity>;
  /** What could not be allocated, for people. */
  problems(): readonly string[];
}

export interface PolicyComputeOptions {
  readonly rulesets: Allocator<number>;
  readonly peerSets: Allocator<PeerSetId>;
  readonly cookies: Allocator<Cookie>;
  readonly world: World;
  readonly limits?: Limits;
}

/** Policy compute that writes `desired.policy`, `.peerSets`, `.rulesets` and `.cookies`. */
export function createPolicyCompute(
  desired: Pick<Desired, 'policy' | 'peerSets' | 'rulesets' | 'cookies'>,
  options: PolicyComputeOptions,
): PolicyCompute {
  const portsOf = new Map<Identity, readonly string[]>();
  const cache = createSelectorCache((selector, identity) => {
    plans.mark(selector);
    peerSets.touch(identity);
  });
  const peerSets = createPeerSets(desired.peerSets, cache, options.peerSets);
  const rulesets = createRulesets(desired.rulesets, options.rulesets);
  const cookies = createCookies(desired.cookies, options.cookies);
  const store = createTemplateStore(cookies);
  const plans = createPlans(cache, { sets: peerSets, store });
  let diff = createTemplateDiffs();
  const subjects = createSubjects(
    plans,
    store,
    {
      setEntry: (key, row) => (row ? desired.policy.set(key, row) : desired.policy.delete(key)),
      setRuleset: rulesets.set,
      rulesetId: rulesets.idFor,
      diff: (before, after) => diff(before, after),
      entries: () => desired.policy.size,
    },
    options.limits,
  );
  const selection = createSelection({ cache, subjects, rulesets });
  const ports = createPortNames((name) => policies.changed(WATCH.ports(name)));
  const policies = createPolicies({ ...selection, ports, world: options.world });

  return {
    addIdentity(identity, labels, portTexts) {
      cache.addIdentity(identity, portTexts.length > 0 ? [...labels, ...portLabels(portTexts)] : labels);
      peerSets.touch(identity);
      if (portTexts.length === 0) return;
      portsOf.set(identity, portTexts);
      ports.count(portTexts, 1);
    },
    removeIdentity(identity) {
      cache.removeIdentity(identity);
      peerSets.touch(identity);
      ports.count(portsOf.get(identity) ?? [], -1);
      portsOf.delete(identity);
    },
    addSubject: selection.addSubject,
    removeSubject: selection.removeSubject,
    setNode: selection.setNode,
    setPolicy: policies.set,
    changed: policies.changed,
    compile() {
      policies.compile();
      selection.settleNode();
    },
    recompute() {
      diff = createTemplateDiffs();
      const touched = subjects.recompute();
      peerSets.recompute();
      return touched;
    },
    enforced: (identity) => enforced(subjects.get(identity)),
    get nodeIsSubject() {
      return subjects.get(RESERVED.host) !== undefined;
    },
    selectedBy: (key) => new Set(policies.rulesOf(key).flatMap((rule) => [...selection.selectedBy(rule)])),
    problems: () => [...subjects.problems(), ...peerSets.problems(), ...cookies.problems()],
  };
}

function enforced(subject: Subject | undefined): { readonly ingress: boolean; readonly egress: boolean } {
  const of = (direction: Direction): boolean => {
    if (!subject) return false;
    const one = subject[direction];
    return one.enforcement === 'forced' || (one.enforcement === 'by rules' && isSpokenOf(one));
  };
  return { ingress: of('ingress'), egress: of('egress') };
}

// Pods -> identities and addresses: which number the labels and ports of each pod have, and where it is. One instance
// for the pods of this node, one for those of the others.

import { type Address, formatCidr } from '#common/ip.ts';
import type { ReadonlyTable } from '#common/table.ts';
import type { LabelFilter } from '../identity/label-filter.ts';
import { identityLabels, portTexts } from '../identity/labels.ts';
import { CLUSTER } from '../policy/peers.ts';
import type { Enforcement } from '../policy/subject.ts';
import type { Inputs, NamedPort, PodFacts } from '../tables.ts';
import { type Addresses, hostCidr, type Rank } from './addresses.ts';
import type { Hold, Identities } from './identities.ts';

export interface Pods {
  /** Pod "namespace/name" has changed. */
  touch(key: string): void;
  /** The labels of a namespace have changed. */
  touchNamespace(namespace: string): void;
  /** Takes in what has changed. `release` gives up what was held for it before: after everybody has taken. */
  recompute(): { readonly keys: ReadonlySet<string>; release(): void };
  get(key: string): KnownPod | undefined;
  problems(): readonly { readonly pod: string; readonly reason: string }[];
}

export interface KnownPod {
  readonly hold: Hold;
  /** What it claimed its addresses for. */
  readonly row: PodFacts;
}

export interface PodOptions<Row extends PodFacts> {
  readonly rank: Rank;
  readonly rows: ReadonlyTable<Row>;
  readonly namespaces: Inputs['namespaces'];
  readonly identities: Identities;
  readonly addresses: Addresses;
  readonly filter: LabelFilter;
  /** How the pod's policy is enforced here; undefined: it is not asked here. */
  subject(row: Row): Enforcement | undefined;
  isInit(row: Row): boolean;
  flags(row: Row): number;
  /** The pod's identity is another one, or none. */
  onIdentity?(key: string, before: Hold | undefined, after: Hold | undefined): void;
}

const INIT_LABELS = ['reserved:init'];

/** No pods yet. */
export function createPods<Row extends PodFacts>(options: PodOptions<Row>): Pods {
  const { rows, identities, addresses } = options;
  const known = new Map<string, KnownPod>();
  const byNamespace = new Map<string, Set<string>>();
  const failed = new Set<string>();
  const dirty = new Set<string>();
  const texts = new WeakMap<readonly NamedPort[], readonly string[]>();

  const portsOf = ({ namedPorts }: Row): readonly string[] => {
    if (namedPorts.length === 0) return [];
    const found = texts.get(namedPorts) ?? portTexts(namedPorts);
    texts.set(namedPorts, found);
    return found;
  };
  const enter = (key: string, row: Row): KnownPod => {
    const namespaceLabels = options.namespaces.get(row.namespace)?.labels;
    const labels = options.isInit(row)
      ? INIT_LABELS
      : identityLabels(row, { namespaceLabels, cluster: CLUSTER, filter: options.filter });
    const hold = identities.take({ scope: 'cluster', labels, ports: portsOf(row), subject: options.subject(row) });
    if (hold.problem) failed.add(key);
    else failed.delete(key);
    const to = { identity: hold.identity, flags: options.flags(row) };
    for (const ip of addressesOf(row)) addresses.claim({ rank: options.rank, name: key }, hostCidr(ip), to);
    return { hold, row };
  };
  const forget = (key: string, had: readonly Address[], has: readonly Address[]): void => {
    const kept = new Set(has);
    for (const ip of had) {
      if (!kept.has(ip)) addresses.remove({ rank: options.rank, name: key }, formatCidr(hostCidr(ip)));
    }
  };
  const replace = (key: string): KnownPod | undefined => {
    const before = known.get(key);
    const row = rows.get(key);
    const after = row && enter(key, row);
    if (!row) failed.delete(key);
    const namespace = key.slice(0, key.indexOf('/'));
    if (before && !after) take(byNamespace, namespace, key);
    if (after && !before) put(byNamespace, namespace, key);
    if (after) known.set(key, after);
    else known.delete(key);
    if (before) forget(key, addressesOf(before.row), addressesOf(after?.row));
    options.onIdentity?.(key, before?.hold, after?.hold);
    return before;
  };
  return {
    touch: (key) => void dirty.add(key),
    touchNamespace(namespace) {
      for (const key of byNamespace.get(namespace) ?? []) dirty.add(key);
    },
    recompute() {
      // Those that found no number try again.
      const keys = new Set([...dirty, ...failed]);
      dirty.clear();
      // All that come before any that go: a number that is still wanted is never given back in between.
      const before = [...keys].flatMap((key) => replace(key) ?? []);
      return {
        keys,
        release() {
          for (const { hold } of before) identities.release(hold);
        },
      };
    },
    get: (key) => known.get(key),
    problems: () =>
      [...failed].map((pod) => ({ pod, reason: known.get(pod)?.hold.problem ?? 'Cannot allocate identity' })),
  };
}

function addressesOf(row: PodFacts | undefined): readonly Address[] {
  return [row?.ip4, row?.ip6].filter((ip) => ip !== undefined);
}

function put(index: Map<string, Set<string>>, key: string, value: string): void {
  const values = index.get(key);
  if (values) values.add(value);
  else index.set(key, new Set([value]));
}

function take(index: Map<string, Set<string>>, key: string, value: string): void {
  const values = index.get(key);
  values?.delete(value);
  if (values?.size === 0) index.delete(key);
}

// What rules mention of the world, kept as labels of prefixes: prefixes themselves, CIDR groups, names, and services
// without selector. What nobody mentions costs nothing.

import { type Cidr, formatCidr } from '#common/ip.ts';
import type { CidrGroupObject, EndpointSliceObject, NamePattern } from '#mesh-config/model.ts';
import { matchesName, patternKey } from '../identity/name-pattern.ts';
import { isWholeFamily } from '../policy/peers.ts';
import { type Mention, SOURCE, WATCH, type World } from '../policy/world.ts';
import type { Inputs, NameRow } from '../tables.ts';
import { hostCidr } from './addresses.ts';
import type { Prefixes } from './prefixes.ts';

export interface WorldCompute extends World {
  setGroup(name: string, before: CidrGroupObject | undefined, after: CidrGroupObject | undefined): void;
  setSlice(before: EndpointSliceObject | undefined, after: EndpointSliceObject | undefined): void;
  setName(before: NameRow | undefined, after: NameRow | undefined): void;
}

/** Keeps the world of `inputs`. `onChange` hears of watches, `onNodeLabel` of node labels that are (no longer) mentioned. */
export function createWorld(
  inputs: Pick<Inputs, 'cidrGroups' | 'services' | 'endpointSlices' | 'names'>,
  prefixes: Pick<Prefixes, 'mark' | 'unmark'>,
  events: { onChange(watch: string): void; onNodeLabel(key: string, isMentioned: boolean): void },
): WorldCompute {
  const held = new Map<string, number>();
  const patterns = createPatterns();
  const change = (cidrs: Iterable<Cidr>, label: string, kind: 'mark' | 'unmark'): void => {
    for (const cidr of cidrs) prefixes[kind](cidr, label);
  };
  /** A mention comes into force (mark) or is over (unmark). */
  const apply = (mention: Mention, kind: 'mark' | 'unmark'): void => {
    switch (mention.kind) {
      case 'cidr':
        change([mention.cidr], labelOf(mention), kind);
        break;
      case 'cidrGroup':
        change(groupCidrs(inputs.cidrGroups.get(mention.name)), labelOf(mention), kind);
        break;
      case 'service': {
        const slices = [...inputs.endpointSlices.values()].filter((slice) => serviceOf(slice) === mention.service);
        change(slices.flatMap(cidrsOf), labelOf(mention), kind);
        break;
      }
      case 'name':
        if (kind === 'mark') patterns.add(mention.name);
        else patterns.remove(mention.name);
        for (const row of inputs.names.values()) {
          if (matchesName(mention.name, row.name)) change(cidrsOf(row), labelOf(mention), kind);
        }
        break;
      case 'nodeLabel':
        events.onNodeLabel(mention.key, kind === 'mark');
        break;
    }
  };
  return {
    inputs,
    hold(mention) {
      const count = held.get(labelOf(mention)) ?? 0;
      held.set(labelOf(mention), count + 1);
      if (count === 0) apply(mention, 'mark');
    },
    release(mention) {
      const count = held.get(labelOf(mention)) ?? 0;
      if (count > 1) held.set(labelOf(mention), count - 1);
      else if (held.delete(labelOf(mention))) apply(mention, 'unmark');
    },
    setGroup(name, before, after) {
      const label = labelOf({ kind: 'cidrGroup', name });
      if (held.has(label)) {
        change(groupCidrs(after), label, 'mark');
        change(groupCidrs(before), label, 'unmark');
      }
      if (wholeOf(before) !== wholeOf(after)) events.onChange(WATCH.group(name));
      const said = (group: typeof after): string => JSON.stringify([group?.labels, wholeOf(group)]);
      if (said(before) !== said(after)) events.onChange(WATCH.groups);
    },
    setSlice(before, after) {
      const marked = (slice: typeof after): string =>
        slice ? labelOf({ kind: 'service', service: serviceOf(slice) }) : '';
      if (after && held.has(marked(after))) change(cidrsOf(after), marked(after), 'mark');
      if (before && held.has(marked(before))) change(cidrsOf(before), marked(before), 'unmark');
    },
    setName(before, after) {
      const name = after?.name ?? before?.name ?? '';
      for (const pattern of patterns.matching(name)) {
        const label = labelOf({ kind: 'name', name: pattern });
        if (after) change(cidrsOf(after), label, 'mark');
        if (before) change(cidrsOf(before), label, 'unmark');
      }
    },
  };
}

/** The label that identities get by a mention. */
function labelOf(mention: Mention): string {
  switch (mention.kind) {
    case 'cidr':
      return `${SOURCE.cidr}:${formatCidr(mention.cidr)}`;
    case 'cidrGroup':
      return `${SOURCE.cidrGroup}:${mention.name}`;
    case 'service':
      return `${SOURCE.service}:${mention.service}`;
    case 'name':
      return `${SOURCE.name}:${patternKey(mention.name)}`;
    case 'nodeLabel':
      return `${SOURCE.node}:${mention.key}`;
  }
}

function groupCidrs(group: CidrGroupObject | undefined): readonly Cidr[] {
  return (group?.cidrs ?? []).filter((cidr) => !isWholeFamily(cidr));
}

/** Whole families in a group are matched by their own labels: whoever mentions it has to look again. */
function wholeOf(group: CidrGroupObject | undefined): string {
  return (group?.cidrs ?? []).filter(isWholeFamily).map(formatCidr).sort().join();
}

function serviceOf({ namespace, service }: EndpointSliceObject): string {
  return `${namespace}/${service}`;
}

function cidrsOf({ addresses }: Pick<NameRow, 'addresses'>): readonly Cidr[] {
  return addresses.map(hostCidr);
}

/** Patterns that are mentioned. Whole names are found at once, the others are tried one by one. */
function createPatterns(): {
  add(pattern: NamePattern): void;
  remove(pattern: NamePattern): void;
  matching(name: string): readonly NamePattern[];
} {
  const names = new Map<string, NamePattern>();
  const others = new Map<string, NamePattern>();
  const indexOf = (pattern: NamePattern): Map<string, NamePattern> => (pattern.kind === 'name' ? names : others);
  return {
    add: (pattern) => void indexOf(pattern).set(patternKey(pattern), pattern),
    remove: (pattern) => void indexOf(pattern).delete(patternKey(pattern)),
    matching(name) {
      const exact = names.get(name);
      const found = others.values().filter((pattern) => matchesName(pattern, name));
      return exact ? [exact, ...found] : [...found];
    },
  };
}

// Named ports. A name means the ports that the destination gives it: at ingress the subject's own, at egress those of
// each peer. Identities are split by their named ports, so that each has one meaning of a name; here it becomes a label
// that only compute asks for, "port:TCP http=8080".
//
// Two ports of one pod with the same name and protocol are ambiguous: nothing is allowed by the name, and what it denies
// is denied on both. Their labels have a key of their own.

import type { Requirement } from '#mesh-config/model.ts';
import { SOURCE } from './world.ts';

export interface PortNames {
  /** Counts the ports of an identity in (1) or out (-1). */
  count(portTexts: readonly string[], by: 1 | -1): void;
  /** The numbers that a name ("TCP http") has anywhere now; `ambiguous`: those that only a denial may use. */
  numbers(name: string): readonly { readonly port: number; readonly ambiguous: boolean }[];
}

/** No ports. `onChange` is called when the numbers of a name change. */
export function createPortNames(onChange: (name: string) => void): PortNames {
  const counts = new Map<string, Map<string, number>>(); // label key -> value -> identities
  return {
    count(portTexts, by) {
      for (const { key, value } of split(portTexts)) {
        const values = counts.get(key) ?? new Map<string, number>();
        const before = values.get(value) ?? 0;
        if (before + by > 0) values.set(value, before + by);
        else values.delete(value);
        if (values.size > 0) counts.set(key, values);
        else counts.delete(key);
        if (before === 0 || before + by === 0)
          onChange(key.endsWith(AMBIGUOUS) ? key.slice(0, -AMBIGUOUS.length) : key);
      }
    },
    numbers(name) {
      const of = (key: string): number[] => [...(counts.get(key)?.keys() ?? [])].map(Number).sort((a, b) => a - b);
      return [
        ...of(name).map((port) => ({ port, ambiguous: false })),
        ...of(name + AMBIGUOUS).map((port) => ({ port, ambiguous: true })),
      ];
    },
  };
}

/** The labels that stand for named ports "TCP http=8080". */
export function portLabels(portTexts: readonly string[]): readonly string[] {
  return split(portTexts).map(({ key, value }) => `${SOURCE.port}:${key}=${value}`);
}

/** Asks for identities that have this number under this name. */
export function hasPort(name: string, { port, ambiguous }: { port: number; ambiguous: boolean }): Requirement {
  return { source: SOURCE.port, key: ambiguous ? name + AMBIGUOUS : name, operator: 'In', values: [String(port)] };
}

// No label key has a blank, so no selector of a user can mean one of these.
const AMBIGUOUS = ' ?';

function split(portTexts: readonly string[]): readonly { readonly key: string; readonly value: string }[] {
  const pairs = portTexts.map((text) => ({
    key: text.slice(0, text.indexOf('=')),
    value: text.slice(text.indexOf('=') + 1),
  }));
  return pairs.map(({ key, value }) => {
    const isUnique = pairs.filter((pair) => pair.key === key).length === 1;
    return { key: isUnique ? key : key + AMBIGUOUS, value };
  });
}

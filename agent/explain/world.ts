// The tables as answers need them: rows indexed once, names of identities and policies at hand.

import type { Identity } from '#common/ids.ts';
import type { PolicyObject } from '#mesh-config/model.ts';
import { parseIdentityLabel } from '../identity/labels.ts';
import { RESERVED_IDENTITIES } from '../identity/reserved.ts';
import { matches } from '../policy/selector.ts';
import type { Tables } from '../tables.ts';
import { createLookup, type Direction, type Lookup } from './lookup.ts';
import type { PolicyReference, RuleReference } from './model.ts';

export interface World extends Lookup {
  readonly tables: Tables;
  /** "source:key=value" of an identity; none if it is not known. */
  labelsOf(identity: Identity): readonly string[];
  /** Policies that speak of a direction of the subject, by name. */
  selecting(subject: Identity, direction: Direction): readonly PolicyReference[];
  /** Is the endpoint ("namespace/name", or the node itself) in audit mode? */
  audits(endpoint: string): boolean;
  /** The policy with this objectKey, with its place if it is in force. */
  policy(key: string): PolicyReference;
  /** The rules behind a cookie. */
  rules(cookie: number): readonly RuleReference[];
}

const RESERVED_LABELS = new Map(RESERVED_IDENTITIES.map(({ identity, labels }) => [identity as number, labels]));

/** Answers over the tables as they are now; later changes are not seen. */
export function createWorld(tables: Tables): World {
  const { desired, inputs } = tables;
  const labelsOf = (identity: Identity): readonly string[] =>
    desired.identities.get(String(identity))?.labels ?? RESERVED_LABELS.get(identity) ?? [];
  const policy = (key: string): PolicyReference => {
    const known = inputs.policies.get(key);
    return known ? referenceOf(known) : { ...splitKey(key), file: '', line: 0 };
  };
  return {
    ...createLookup(desired),
    tables,
    labelsOf,
    policy,
    audits: (endpoint) => desired.enforcement.get(endpoint)?.audit ?? false,
    selecting(subject, direction) {
      const labels = labelsOf(subject).map(parseIdentityLabel);
      const isNode = labels.some(({ source, key }) => source === 'reserved' && key === 'host');
      const selecting = [...inputs.policies.values()].filter((one) =>
        one.rules.some(
          (rule) => rule[direction] !== undefined && (rule.on === 'nodes') === isNode && matches(rule.subject, labels),
        ),
      );
      return selecting.map(referenceOf).sort(byName);
    },
    rules(cookie) {
      const rules = desired.cookies.get(String(cookie))?.rules ?? [];
      return rules.map(({ policy: key, file, line, field }) => ({ ...splitKey(key), file, line, field }));
    },
  };
}

function referenceOf({ kind, namespace, name, origin }: PolicyObject): PolicyReference {
  return { kind, namespace, name, file: origin.file, line: origin.line };
}

/** Takes an objectKey, "Kind namespace/name", apart. */
export function splitKey(key: string): { readonly kind: string; readonly namespace: string; readonly name: string } {
  const [, kind = '', namespace = '', name = key] = /^(?:(\S+) )?([^/]*)\/(.*)$/.exec(key) ?? [];
  return { kind, namespace, name };
}

function byName(a: PolicyReference, b: PolicyReference): number {
  const key = (p: PolicyReference): string => `${p.namespace}/${p.name} ${p.kind}`;
  return key(a) < key(b) ? -1 : 1;
}

// What policy must know besides its rules: what peers stand for. Rules mention prefixes, names, groups, services and
// node labels; whoever keeps the world gives the identities behind addresses a label for each mention that holds.

import type { Cidr } from '#common/ip.ts';
import type { NamePattern } from '#mesh-config/model.ts';
import type { Inputs } from '../tables.ts';

/** Something that identities shall be labelled with, as long as it is held. */
export type Mention =
  | { readonly kind: 'cidr'; readonly cidr: Cidr }
  | { readonly kind: 'cidrGroup'; readonly name: string }
  | { readonly kind: 'name'; readonly name: NamePattern }
  | { readonly kind: 'service'; readonly service: string }
  | { readonly kind: 'nodeLabel'; readonly key: string };

/** Who keeps the world. Mentions are counted: each `hold` has its `release`. */
export interface World {
  readonly inputs: Pick<Inputs, 'cidrGroups' | 'services'>;
  hold(mention: Mention): void;
  release(mention: Mention): void;
}

/** What a compiled policy depends on. A change of it calls for `changed(watch)`. */
export const WATCH = {
  group: (name: string): string => `group ${name}`,
  groups: 'groups',
  service: (key: string): string => `service ${key}`,
  services: 'services',
  ports: (key: string): string => `ports ${key}`,
} as const;

/** Sources of labels that only compute gives. */
export const SOURCE = {
  cidr: 'cidr',
  cidrGroup: 'cidrgroup',
  name: 'fqdn',
  service: 'service',
  port: 'port',
  node: 'node',
  reserved: 'reserved',
} as const;

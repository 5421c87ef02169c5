// What a policy may ask of this node's proxy. Engine and parsers know more: such a policy is refused here, as a whole.

import { type DirectionRule, type MeshObject, objectKey, type PortRule, type Problem } from '#mesh-config/model.ts';

/** Reasons for which this node cannot enforce the objects of a file. None: it can. */
export function unenforceable(objects: readonly MeshObject[]): readonly Problem[] {
  return objects.flatMap((object) => {
    if (!('rules' in object)) return [];
    const rules = object.rules.flatMap(({ ingress = [], egress = [] }) => [...ingress, ...egress]);
    return rules.flatMap((rule) =>
      reasonsAgainst(rule).map((reason) => ({
        file: object.origin.file,
        line: rule.place.line,
        field: `${rule.place.field}.toPorts`,
        reason,
        warning: false,
        object: objectKey(object),
      })),
    );
  });
}

function reasonsAgainst({ ports }: DirectionRule): readonly string[] {
  return ports === 'all'
    ? []
    : [...new Set(ports.flatMap(missing))].map(
        (what) => `${what} not supported by the proxy yet: a node refuses the whole object`,
      );
}

function missing({ l7, serverNames }: PortRule): readonly string[] {
  const found = serverNames.length > 0 ? ['serverNames are'] : [];
  switch (l7?.kind) {
    case 'dns':
      return [...found, 'DNS rules are'];
    case 'kafka':
      return [...found, 'Kafka rules are'];
    case 'generic':
      return [...found, `the parser "${l7.parser}" is`];
    case 'http':
      return l7.rules.some((rule) => (rule.headerMatches?.length ?? 0) > 0) ? [...found, 'headerMatches are'] : found;
    default:
      return found;
  }
}

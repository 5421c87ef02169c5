// What tests of the reader share.

import type { MeshObject } from './model.ts';
import { readObjects } from './read.ts';

/** The object that a kind becomes: several kinds may become one. */
type OfKind<Kind, Object = MeshObject> = Object extends { kind: infer Own }
  ? Kind extends Own
    ? Object
    : never
  : never;

/** The one object that `text` describes, and the remarks on it as "field: reason". Throws if it is refused. */
export function accepted<Kind extends MeshObject['kind']>(
  kind: Kind,
  text: string,
): { object: OfKind<Kind>; warnings: string[] } {
  const { objects, problems } = readObjects('test.yaml', text);
  const [object] = objects;
  const lines = problems.map((p) => `${p.field}: ${p.reason}`);
  if (objects.length !== 1 || object?.kind !== kind || problems.some((p) => !p.warning)) {
    throw new Error(`Cannot read ${kind}: ${lines.join('\n') || `${objects.length} objects`}`);
  }
  return { object: object as OfKind<Kind>, warnings: lines };
}

/** Why `text` is refused, as "line field: reason". Throws if any object is returned. */
export function refused(text: string): string[] {
  const { objects, problems } = readObjects('test.yaml', text);
  if (objects.length > 0) throw new Error(`Cannot see a refusal: ${objects.length} objects were returned`);
  return problems.filter((p) => !p.warning).map((p) => `${p.line} ${p.field}: ${p.reason}`);
}

// What may be the name of a node.

import { err, ok, type Result } from '#common/result.ts';

/** Fits, with prefix, into every name that is made of it. */
const MAX_LENGTH = 32;

/** Node names are DNS labels: "_" in a name is Weir's own separator. */
export function parseNodeName(text: string): Result<string, string> {
  if (text.length > MAX_LENGTH) return err(`Cannot use node name "${text}": longer than ${MAX_LENGTH} characters`);
  if (!/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(text)) {
    return err(`Cannot use node name "${text}": it must be lower-case letters, digits and "-" in between`);
  }
  return ok(text);
}

// How a pod is named on the command line.

import { CliError, EXIT } from './exit.ts';

/** "name" in `namespace`, or "namespace/name". "pod/name" is taken as "name". */
export function parsePodName(text: string, namespace: string): { readonly namespace: string; readonly name: string } {
  const parts = text.replace(/^pods?\//, '').split('/');
  const [first = '', second] = parts;
  if (parts.length > 2 || first === '' || second === '') {
    throw new CliError(`Cannot find pod "${text}": write its name, or namespace/name`, EXIT.usage);
  }
  return second === undefined ? { namespace, name: first } : { namespace: first, name: second };
}

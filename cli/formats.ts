// The -o option.

import { CliError, EXIT } from './exit.ts';

/** `format` if it is one of `formats`. Throws an error for people otherwise. */
export function checkFormat<F extends string>(format: string, formats: readonly F[]): F {
  if (!(formats as readonly string[]).includes(format)) {
    throw new CliError(`Cannot print as "${format}": not one of ${formats.join(', ')}`, EXIT.usage);
  }
  return format as F;
}

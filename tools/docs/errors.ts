// docs/errors.md from the error catalogue.

import { ERRORS } from '#common/errors.ts';

/** The whole file. */
export function renderErrors(): string {
  const sections = Object.entries(ERRORS)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([code, { meaning, remedy }]) => `## ${code}\n\n${meaning}\n\n${remedy}\n`);
  return [
    '# Errors\n',
    'Generated from `common/errors.ts` by `./weir dev generate`.\n',
    'A message reads "Cannot <verb> <object>: <state>"; its code stands here with what to do about it.\n',
    ...sections,
  ].join('\n');
}

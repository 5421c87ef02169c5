// HTTP rules of a policy.

import { canBeginWith } from '../../match/nfa.ts';
import { compilePattern, literalOf } from '../../match/program.ts';
import type { HeaderMatch, HttpRule } from '../../model.ts';
import { show } from '../../schema/report.ts';
import { inside, type Place } from './place.ts';
import type { WrittenHttpRule } from './ports-schema.ts';

/** Name of a header (RFC 9110, section 5.6.2). */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** One rule, its expressions checked. */
export function lowerHttp(written: WrittenHttpRule, place: Place): HttpRule {
  const { method = '', path = '', host = '', headers = [], headerMatches = [] } = written;
  for (const [field, text] of Object.entries({ method, path, host })) {
    if (text !== '') checkPattern(field, text, inside(place, field));
  }
  const matches = headerMatches.map((match, i) => lowerMatch(match, inside(place, 'headerMatches', i)));
  return {
    method,
    path,
    host,
    headers: headers.map((text, i) => lowerHeader(text, inside(place, 'headers', i))),
    ...(matches.length > 0 ? { headerMatches: matches } : {}),
  };
}

function checkPattern(field: string, text: string, { path, report }: Place): void {
  const compiled = compilePattern(text);
  if (!compiled.ok) {
    report.problem(path, `${show(text)} is no RE2 regular expression: ${compiled.error}`);
  } else if (field === 'path' && !canBeginWith(compiled.value, '/')) {
    report.warn(path, `${show(text)} matches no path that begins with "/"`);
  } else if (field === 'method' && /[a-z]/.test(literalOf(compiled.value) ?? '')) {
    report.warn(path, `${show(text)} is not the usual method: methods are compared with their case`);
  }
}

/** "Name" asks for the header, "Name value" and "Name: value" for exactly that value. */
function lowerHeader(text: string, { path, report }: Place): HttpRule['headers'][number] {
  const space = text.indexOf(' ');
  const name = space < 0 ? text : text.slice(0, space).replace(/:+$/, '');
  if (!TOKEN.test(name)) report.problem(path, `${show(text)} is neither "Name" nor "Name: value"`);
  return { name, value: space < 0 ? undefined : text.slice(space + 1) };
}

function lowerMatch(written: NonNullable<WrittenHttpRule['headerMatches']>[number], place: Place): HeaderMatch {
  const { name, value = '', mismatch = 'FAIL' } = written;
  if (!TOKEN.test(name)) place.report.problem([...place.path, 'name'], `${show(name)} is no name of a header`);
  return { name, value: value === '' ? undefined : value, mismatch };
}

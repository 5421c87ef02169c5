// Names of toFQDNs and DNS rules.

import type { NamePattern } from '../../model.ts';
import type { WrittenName } from './peer-schema.ts';

/** Lower case, without trailing dot; runs of "*" that mean the same as one are one. */
export function lowerName({ matchName, matchPattern = '' }: WrittenName): NamePattern {
  if (matchName !== undefined) return { kind: 'name', name: plain(matchName) };
  const pattern = plain(matchPattern);
  if (/^\*+$/.test(pattern)) return { kind: 'pattern', pattern: '*' };
  const anyLabels = pattern.startsWith('**.') ? '**.' : '';
  return { kind: 'pattern', pattern: anyLabels + pattern.slice(anyLabels.length).replace(/\*+/g, '*') };
}

function plain(text: string): string {
  return text.toLowerCase().replace(/\.$/, '');
}

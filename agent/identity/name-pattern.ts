// Names against patterns of toFQDNs and DNS rules. Both are lower case and without a trailing dot.
//
//  1. "*" alone, or only stars: every name.
//  2. A leading "**." stands for one or more whole labels and their dot.
//  3. Every other run of stars covers any number of letters, digits, "-" and "_", and never a dot.

import type { NamePattern } from '#mesh-config/model.ts';

const STAR = 42;
const DOT = 46;
const COVERED = /^[-a-z0-9_]*$/;
const LABELS = /^[-a-z0-9_]+(\.[-a-z0-9_]+)*$/;

/** Whether the name is meant. */
export function matchesName(wanted: NamePattern, name: string): boolean {
  if (wanted.kind === 'name') return wanted.name === name;
  const { pattern } = wanted;
  if (/^\*+$/.test(pattern)) return true;
  if (!pattern.startsWith('**.')) return matchesGlob(pattern, name);
  const rest = pattern.slice(3);
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
    if (LABELS.test(name.slice(0, dot)) && matchesGlob(rest, name.slice(dot + 1))) return true;
  }
  return false;
}

/** A text by which equal patterns are equal. */
export function patternKey(wanted: NamePattern): string {
  return wanted.kind === 'name' ? wanted.name : wanted.pattern;
}

/** Rule 3. Goes back to the last star only: the label is read at most once for each of its letters. */
function matchesGlob(pattern: string, name: string): boolean {
  const [patterns, names] = [pattern.split('.'), name.split('.')];
  return patterns.length === names.length && patterns.every((part, i) => matchesLabel(part, names[i] as string));
}

function matchesLabel(pattern: string, label: string): boolean {
  if (!COVERED.test(label)) return pattern === label;
  let [p, l, star, mark] = [0, 0, -1, 0];
  while (l < label.length) {
    const c = pattern.charCodeAt(p);
    if (c === STAR) {
      star = p++;
      mark = l;
    } else if (c === label.charCodeAt(l) && c !== DOT) {
      p++;
      l++;
    } else if (star >= 0) {
      p = star + 1;
      l = ++mark;
    } else return false;
  }
  while (pattern.charCodeAt(p) === STAR) p++;
  return p === pattern.length;
}

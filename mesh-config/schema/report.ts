// Collects what is wrong with one object, with field paths as people write them.

import type { Path } from '../yaml.ts';

export interface Finding {
  readonly path: Path;
  readonly reason: string;
  readonly warning: boolean;
}

export interface Report {
  /** The object is refused because of the field at `path`. */
  problem(path: Path, reason: string): void;
  /** The object is accepted; the user should know something about the field at `path`. */
  warn(path: Path, reason: string): void;
}

export interface FindingList extends Report {
  readonly findings: readonly Finding[];
  readonly refused: boolean;
}

/** An empty list of findings. */
export function createReport(): FindingList {
  const findings: Finding[] = [];
  let refused = false;
  return {
    findings,
    get refused() {
      return refused;
    },
    problem(path, reason) {
      refused = true;
      findings.push({ path, reason, warning: false });
    },
    warn: (path, reason) => void findings.push({ path, reason, warning: true }),
  };
}

/** "spec.ingress[0].toPorts"; keys that are no plain words in brackets: metadata.labels["app.kubernetes.io/name"]. */
export function formatPath(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (/^[A-Za-z_][A-Za-z0-9_-]*$/.test(step)) text += text === '' ? step : `.${step}`;
    else text += `[${JSON.stringify(step.length > 100 ? `${step.slice(0, 100)}…` : step)}]`;
  }
  return text;
}

/** A value as it is quoted in a message: short, on one line. */
export function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 80)}…"` : text;
}

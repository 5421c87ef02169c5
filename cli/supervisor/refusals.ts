// What `weir up` says while the node runs: which files are refused, why, and that they are accepted again.

import type { ObjectStatus } from '#api/node.ts';

/** The lines that are new since the last look at the node's objects. */
export type RefusalReporter = (objects: readonly ObjectStatus[]) => string[];

/** A reporter that has seen nothing refused yet. It goes by file: one that cannot be read has no objects. */
export function createRefusalReporter(): RefusalReporter {
  let refused: ReadonlyMap<string, string> = new Map();
  return (objects) => {
    const now = new Map<string, string>();
    for (const object of objects) {
      if (object.accepted) continue;
      now.set(object.file, [now.get(object.file) ?? [], reasons(object)].flat().join('\n'));
    }
    const files = new Set(objects.map(({ file }) => file));
    const over = [...refused.keys()].filter((file) => !now.has(file));
    const lines = [
      ...[...now].filter(([file, text]) => refused.get(file) !== text).map(([, text]) => text),
      ...over.map((file) =>
        files.has(file) ? `Accepted again: ${file}` : `No longer there: ${file}, which was refused`,
      ),
    ];
    refused = now;
    return lines;
  };
}

function reasons({ kind, name, file, line, problems }: ObjectStatus): string[] {
  const all = problems.filter(({ warning }) => !warning);
  if (all.length === 0) return [`Refused: ${file}:${line}: ${kind} ${name}`];
  return all.map((problem) => {
    const field = problem.field === '' ? '' : `${problem.field}: `;
    return `Refused: ${problem.file}:${problem.line}: ${field}${problem.reason}`;
  });
}

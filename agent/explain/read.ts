// Files and folders -> objects, by the rules of a node's source, without a node.

import { statSync } from 'node:fs';
import type { ReadOptions } from '#mesh-config/kinds/kind.ts';
import { type MeshObject, objectKey, type Problem } from '#mesh-config/model.ts';
import { readObjects } from '#mesh-config/read.ts';
import { unenforceable } from '../sources/enforceable.ts';
import { listFiles, readWhole } from '../sources/files.ts';

/** A text and what it is called in problems. */
export interface NamedText {
  readonly file: string;
  readonly text: string;
}

export interface Reading {
  readonly files: readonly string[];
  /** Objects without problems; of two with one name neither. */
  readonly objects: readonly MeshObject[];
  /** What a node would refuse and, with `warning`, what it would remark on. In the order of files and lines. */
  readonly problems: readonly Problem[];
}

/** Looks that a file that is being written gets before it is given up. */
const READ_ATTEMPTS = 5;

/**
 * The texts of files, and of all YAML and JSON files below folders; a hidden file only if it is named itself. Throws
 * "Cannot read …" for a path that is not there or cannot be read.
 */
export function readTexts(paths: readonly string[]): NamedText[] {
  const files = paths.flatMap((path) => {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) throw new Error(`Cannot read "${path}": there is no such file or folder`);
    if (!stat.isDirectory()) return [path];
    const { files: found, unreadable } = listFiles(path);
    for (const [name, reason] of unreadable) throw new Error(`Cannot read "${name}": it ${reason}`);
    return found.map((file) => file.path);
  });
  return [...new Set(files)].map((file) => ({ file, text: readOne(file) }));
}

function readOne(path: string): string {
  try {
    for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
      const text = readWhole(path);
      if (text !== undefined) return text;
    }
  } catch (cause) {
    throw new Error(`Cannot read "${path}": ${(cause as Error).message}`, { cause });
  }
  throw new Error(`Cannot read "${path}": it changes all the time`);
}

/** Reads all objects of `texts` together: an object that is in two of them is refused in both. */
export function readAll(texts: readonly NamedText[], options: ReadOptions = { nodePeers: false }): Reading {
  const problems: Problem[] = [];
  const byKey = new Map<string, MeshObject[]>();
  for (const { file, text } of texts) {
    const reading = readObjects(file, text, options);
    const duplicates: Problem[] = [];
    for (const object of reading.objects) {
      const key = objectKey(object);
      const same = byKey.get(key);
      if (same === undefined) {
        byKey.set(key, [object]);
        continue;
      }
      const { origin } = same[0] as MeshObject;
      same.push(object);
      const reason = `${key} is written in ${origin.file}:${origin.line} too: remove one of them`;
      duplicates.push({ ...object.origin, field: 'metadata.name', reason, warning: false, object: key });
    }
    // Valid, and yet a node refuses it today.
    const tooNew = unenforceable(reading.objects).map((problem) => ({ ...problem, warning: true }));
    problems.push(...[...reading.problems, ...duplicates, ...tooNew].sort((a, b) => a.line - b.line));
  }
  const objects = [...byKey.values()].flatMap((same) => (same.length === 1 ? same : []));
  return { files: texts.map(({ file }) => file), objects, problems };
}

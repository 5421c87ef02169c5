// YAML text -> plain values, with the line of every node. Bounded: size, number of documents, expansion of aliases.

import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  visit,
} from 'yaml';

/** Bytes of one file. A Kubernetes object is at most 1.5 MiB; a file may hold several. */
export const MAX_TEXT_BYTES = 4 * 1024 * 1024;
/** Documents in one file. */
export const MAX_DOCUMENTS = 10_000;
/** How often aliases of one document may repeat nodes, nested ones multiplied. */
const MAX_ALIASES = 200;

export type Path = readonly (string | number)[];

/** Something wrong with the text itself. */
export interface YamlProblem {
  readonly line: number;
  readonly reason: string;
}

export interface YamlDocument {
  readonly value: unknown;
  /** Line of the document's first node. */
  readonly line: number;
  /** Line of the node at `path`, or of its nearest parent that exists. */
  lineAt(path: Path): number;
}

/**
 * Parses YAML 1.2 (JSON is a part of it), any number of documents; empty ones are left out. If anything is wrong with
 * the syntax, all problems are returned and no document: where one ends is not certain then.
 */
export function parseYaml(text: string): {
  documents: readonly YamlDocument[];
  problems: readonly YamlProblem[];
} {
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes > MAX_TEXT_BYTES) {
    return failed(1, `the file is too large: ${sizeBytes} bytes, at most ${MAX_TEXT_BYTES} are read`);
  }
  const lines = new LineCounter();
  try {
    const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: sameKey });
    const documents = 'empty' in parsed ? [] : parsed;
    const problems = documents.flatMap((doc) => [
      ...doc.errors.map((e) => problemAt(lines, e.pos[0], e.message)),
      ...doc.warnings.map((e) => problemAt(lines, e.pos[0], e.message)),
      ...strangeKeys(doc, lines),
    ]);
    if (documents.length > MAX_DOCUMENTS) {
      problems.push({ line: 1, reason: `too many documents: ${documents.length}, at most ${MAX_DOCUMENTS} are read` });
    }
    if (problems.length > 0) return { documents: [], problems };
    return convertAll(documents, lines);
  } catch (error) {
    // A RangeError is the parser's stack: the text is nested thousands of levels deep.
    if (error instanceof RangeError) return failed(1, 'the text is nested too deeply');
    throw error;
  }
}

function convertAll(
  parsed: readonly Document.Parsed[],
  lines: LineCounter,
): { documents: readonly YamlDocument[]; problems: readonly YamlProblem[] } {
  const documents: YamlDocument[] = [];
  for (const doc of parsed) {
    const root = doc.contents;
    if (root === null || (isScalar(root) && root.value === null)) continue;
    try {
      const value: unknown = doc.toJS({ maxAliasCount: MAX_ALIASES });
      documents.push({
        value,
        line: lineOf(lines, root),
        lineAt: (path) => lineOf(lines, nodeAt(doc, root, path)),
      });
    } catch (error) {
      if (!(error instanceof ReferenceError)) throw error;
      const reason = error.message.startsWith('Excessive')
        ? `aliases expand too far: they repeat more than ${MAX_ALIASES} nodes`
        : `not valid YAML: ${error.message}`;
      return failed(lineOf(lines, root), reason);
    }
  }
  return { documents, problems: [] };
}

/** Keys that are lists, objects or aliases: they would be turned into a text that nobody has written. */
function strangeKeys(doc: Document.Parsed, lines: LineCounter): YamlProblem[] {
  const problems: YamlProblem[] = [];
  visit(doc, {
    Pair(_, pair) {
      if (isScalar(pair.key)) return undefined;
      const offset = isNode(pair.key) ? (pair.key.range?.[0] ?? 0) : 0;
      problems.push({ line: lines.linePos(offset).line, reason: 'not usable YAML: a key must be a plain text' });
      return visit.SKIP;
    },
  });
  return problems;
}

/** Keys are the same if their JSON forms are: 1 and "1" would silently become one label. */
function sameKey(a: unknown, b: unknown): boolean {
  return a === b || (isScalar(a) && isScalar(b) && String(a.value) === String(b.value));
}

function nodeAt(doc: Document.Parsed, root: Node, path: Path): Node {
  let node: Node = root;
  let shown: Node = root;
  for (const step of path) {
    if (isAlias(node)) {
      const target: Node | undefined = node.resolve(doc);
      if (!target) return shown;
      node = target;
    }
    let next: unknown;
    if (isMap(node)) {
      const pair = node.items.find((p) => isScalar(p.key) && String(p.key.value) === String(step));
      if (!pair) return shown;
      // The key is where a person looks; a value may start lines later.
      shown = pair.key as Node;
      next = isPair(pair) ? pair.value : undefined;
    } else if (isSeq(node)) {
      next = node.items[Number(step)];
      if (next) shown = next as Node;
    }
    if (!next) return shown;
    node = next as Node;
  }
  return shown;
}

function lineOf(lines: LineCounter, node: Node): number {
  return lines.linePos(node.range?.[0] ?? 0).line;
}

function problemAt(lines: LineCounter, offset: number, message: string): YamlProblem {
  return { line: lines.linePos(offset).line, reason: `not valid YAML: ${message.split('\n')[0] ?? message}` };
}

function failed(line: number, reason: string): { documents: []; problems: YamlProblem[] } {
  return { documents: [], problems: [{ line, reason }] };
}

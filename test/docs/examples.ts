// Examples of a page: blocks of YAML, and below each what has to come of it.

import { readFileSync } from 'node:fs';
import type { Question } from '#agent/explain/model.ts';

/** One example: objects, and what is said of them. */
export interface Example {
  readonly line: number;
  /** What stands after "yaml" in the fence: "mesh", "refused", "always"; '': nothing. */
  readonly word: string;
  readonly yaml: string;
  readonly expected: readonly ExpectedLine[];
}

export interface ExpectedLine {
  readonly line: number;
  readonly text: string;
}

export interface ExpectedFlow {
  /** "allowed", "audited", "denied", or a parser of the proxy. */
  readonly verdict: string;
  readonly question: Question;
}

interface Block {
  readonly info: string;
  readonly line: number;
  readonly lines: readonly string[];
}

/** The examples of the page at `path`: each block of YAML with the block of verdicts that follows. */
export function readExamples(path: URL): Example[] {
  const blocks = fencedBlocks(readFileSync(path, 'utf8'));
  return blocks.flatMap((block, index) => {
    const [language, word = ''] = block.info.split(' ');
    if (language !== 'yaml') return [];
    const next = blocks[index + 1];
    const verdicts = next?.info === 'verdicts' ? next : undefined;
    const expected = (verdicts?.lines ?? []).map((text, i) => ({ text, line: (verdicts?.line ?? 0) + 1 + i }));
    return [{ line: block.line, word, yaml: block.lines.join('\n'), expected }];
  });
}

function fencedBlocks(text: string): Block[] {
  const blocks: Block[] = [];
  let open: { info: string; line: number; lines: string[] } | undefined;
  text.split('\n').forEach((line, index) => {
    if (!line.startsWith('```')) {
      open?.lines.push(line);
    } else if (open) {
      blocks.push(open);
      open = undefined;
    } else {
      open = { info: line.slice(3), line: index + 1, lines: [] };
    }
  });
  return blocks;
}

/** Reads "allowed web -> api 8080 GET /v1 host=h X-Name=value". */
export function readExpectedFlow(text: string): ExpectedFlow {
  const [, verdict = '', from = '', to = '', port = '', rest = ''] =
    /^(\w+) +(\S+) -> (\S+) (\S+)(.*)$/.exec(text) ?? [];
  if (verdict === '') throw new Error(`"${text}" is no line of verdicts`);
  const [method, path, ...more] = rest.trim().split(' ').filter(Boolean);
  if (method === undefined || path === undefined) return { verdict, question: { from, to, port } };
  const headers = more.map((word) => ({
    name: word.slice(0, word.indexOf('=')),
    value: word.slice(word.indexOf('=') + 1),
  }));
  const host = headers.find(({ name }) => name === 'host')?.value ?? '';
  const request = { method, path, host, headers: headers.filter(({ name }) => name !== 'host') };
  return { verdict, question: { from, to, port, request } };
}

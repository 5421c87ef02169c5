// The agent's memory across restarts: which number stands for what. Kernel maps, conntrack and proxies outlive the
// agent and hold these numbers, so they must mean the same afterwards.
//
// The file's first line is the whole state, each further line what has changed since. A last line without its end was
// being written when the agent died: nothing has used it yet.

import { appendFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { err, ok, type Result } from '#common/result.ts';
import type { AllocatorChange, AllocatorState } from '../identity/allocator.ts';

export const NUMBERS = [
  'identities',
  'prefixes',
  'nodes',
  'rulesets',
  'peerSets',
  'cookies',
  'backends',
  'services',
] as const;
type Numbers = (typeof NUMBERS)[number];

const allocator = z.object({ next: z.number().int(), numbers: z.record(z.string(), z.number().int()) });
/** "namespace/name" -> its ClusterIPs. */
const clusterIps = z.record(z.string(), z.array(z.string()));
const schema = z.object({
  version: z.literal(1),
  identities: allocator,
  prefixes: allocator.optional(),
  nodes: allocator.optional(),
  rulesets: allocator,
  peerSets: allocator.optional(),
  cookies: allocator,
  backends: allocator,
  services: allocator,
  clusterIps,
});
const change = z.object({
  next: z.number().int(),
  set: z.record(z.string(), z.number().int()),
  gone: z.array(z.string()),
});
const line = z.object({
  ...Object.fromEntries(NUMBERS.map((name) => [name, change.optional()])),
  clusterIps: clusterIps.optional(),
});

export interface State extends Partial<Readonly<Record<Numbers, AllocatorState>>> {
  readonly clusterIps: Readonly<Record<string, readonly string[]>>;
}

/** What has changed since the last write. */
export interface StateChange extends Partial<Readonly<Record<Numbers, AllocatorChange>>> {
  readonly clusterIps?: State['clusterIps'];
}

/**
 * Reads the state file. A missing file is a first start (undefined). A file that cannot be understood is an error: to
 * go on with new numbers while the kernel holds old ones would give identities the rights of others.
 */
export function readState(path: string): Result<State | undefined, string> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return ok(undefined);
    return err(`Cannot read state "${path}": ${(cause as Error).message}`);
  }
  try {
    const [first = '', ...more] = text.split('\n');
    const { version: _, ...whole } = schema.parse(JSON.parse(first));
    const changes = more.slice(0, -1).map((written) => line.parse(JSON.parse(written)) as StateChange);
    return ok(changes.reduce(apply, whole as State));
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? z.prettifyError(cause) : (cause as Error).message;
    return err(`Cannot read state "${path}": ${reason}; take the node down to start afresh`);
  }
}

/** Writes a state file: changes one by one, and now and then the whole. */
export interface StateWriter {
  /**
   * `whole` is asked for when the file is to be written anew. Throws what the file system says; the next write is then of
   * the whole, for what is there may end in half a line.
   */
  write(changed: StateChange, whole: () => State): void;
}

/** Lines of changes weigh at most this many times the whole state, before it is written anew. */
const MAX_GROWTH = 1;
const MIN_CHANGES_BYTES = 256 * 1024;

/**
 * A writer for `path`. A reader finds either what was there before or all of a change. It has to survive the agent, not
 * the machine (whose maps die with it), so nothing waits for a disk.
 */
export function createStateWriter(path: string): StateWriter {
  let wholeBytes = 0;
  let changesBytes = Number.POSITIVE_INFINITY; // the first write is whole
  const writeWhole = (state: State): void => {
    const text = `${JSON.stringify({ version: 1, ...state })}\n`;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const temporary = `${path}.new`;
    writeFileSync(temporary, text, { mode: 0o600 });
    renameSync(temporary, path);
    wholeBytes = text.length;
    changesBytes = 0;
  };
  return {
    write(changed, whole) {
      const text = `${JSON.stringify(changed)}\n`;
      const size = changesBytes + text.length;
      changesBytes = Number.POSITIVE_INFINITY;
      if (size > Math.max(wholeBytes * MAX_GROWTH, MIN_CHANGES_BYTES)) {
        writeWhole(whole());
        return;
      }
      appendFileSync(path, text);
      changesBytes = size;
    },
  };
}

function apply(state: State, changed: StateChange): State {
  const next: Record<string, unknown> = { ...state, clusterIps: changed.clusterIps ?? state.clusterIps };
  for (const name of NUMBERS) {
    const part = changed[name];
    if (!part) continue;
    // Changed in place: a state with thousands of numbers and changes would be copied for each.
    const numbers = (state[name]?.numbers ?? {}) as Record<string, number>;
    for (const key of part.gone) delete numbers[key];
    next[name] = { next: part.next, numbers: Object.assign(numbers, part.set) };
  }
  return next as unknown as State;
}

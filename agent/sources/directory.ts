// The embedded default's source: a folder of Kubernetes YAML. It only writes tables.
//
// A file counts as a whole: with one error in it, what was in force from it stays in force and its status says why.

import { type FSWatcher, watch } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { type MeshObject, objectKey, type Problem } from '#mesh-config/model.ts';
import { readObjects } from '#mesh-config/read.ts';
import type { Tables } from '../tables.ts';
import { unenforceable } from './enforceable.ts';
import { listFiles, readWhole } from './files.ts';
import { writeTables } from './write.ts';

export interface DirectorySource {
  /** Reads everything that changed, now. */
  rescan(): void;
  /** 'ok', or why parts of the folder cannot be read. */
  problem(): string | undefined;
  close(): void;
}

/** What is known of one file. */
export interface KnownFile {
  stamp: string;
  /** In force. */
  objects: readonly MeshObject[];
  /** Read last, if it could be; in force unless another file has one of the same objects. */
  read: readonly MeshObject[];
  problems: readonly Problem[];
  /** When it was first seen gone or empty, in ms; undefined: it is there. */
  emptySince: number | undefined;
}

/** Events of one save come together. */
const DEBOUNCE_MS = 3;
/** In case an event was lost. */
const RESCAN_MS = 2_000;
/** Editors empty or move a file before they write it again: only what stays away this long is gone. */
const GONE_MS = 100;

/** Starts watching `dir` and reads it once before it returns. `onChange` is called after tables were written. */
export function watchDirectory(options: {
  readonly dir: string;
  readonly tables: Pick<Tables, 'inputs' | 'objects'>;
  /** Name of the node that this is, among Node objects. */
  readonly node?: string;
  /** Whether policies may select nodes as peers by their labels. */
  readonly nodePeers?: boolean;
  readonly onChange?: () => void;
}): DirectorySource {
  const { node = '', nodePeers = false } = options;
  const files = new Map<string, KnownFile>();
  const watchers = new Map<string, FSWatcher>();
  let unreadable: ReadonlyMap<string, string> = new Map();
  let timer: NodeJS.Timeout | undefined;

  const schedule = (delayMs: number): void => {
    if (timer !== undefined) return;
    timer = setTimeout(() => {
      timer = undefined;
      rescan();
    }, delayMs);
  };
  const rescan = (): void => {
    const listing = listFiles(options.dir);
    unreadable = listing.unreadable;
    followFolders(watchers, listing.folders, () => schedule(DEBOUNCE_MS));
    const again = updateFiles(files, listing.files, { now: performance.now(), nodePeers });
    settle(files);
    if (writeTables(files, options.tables, node)) options.onChange?.();
    if (again) schedule(GONE_MS / 4);
  };
  rescan();
  const safety = setInterval(rescan, RESCAN_MS);
  return {
    rescan,
    problem() {
      const [first] = unreadable;
      return first === undefined ? undefined : `${first[0]} ${first[1]}`;
    },
    close() {
      clearInterval(safety);
      clearTimeout(timer);
      for (const watcher of watchers.values()) watcher.close();
    },
  };
}

function followFolders(watchers: Map<string, FSWatcher>, folders: readonly string[], onEvent: () => void): void {
  for (const [folder, watcher] of watchers) {
    if (folders.includes(folder)) continue;
    watcher.close();
    watchers.delete(folder);
  }
  for (const folder of folders) {
    if (watchers.has(folder)) continue;
    try {
      const watcher = watch(folder, onEvent);
      // A folder that went away; the next rescan sees it.
      watcher.on('error', () => {
        watcher.close();
        watchers.delete(folder);
      });
      watchers.set(folder, watcher);
    } catch {
      // No watch to be had (limit reached, or just removed): the periodic rescan covers it.
    }
  }
}

interface Reading {
  readonly now: number; // ms
  readonly nodePeers: boolean;
}

/** Reads what changed. Returns whether something must be looked at again soon. */
function updateFiles(
  files: Map<string, KnownFile>,
  found: readonly { readonly path: string; readonly stamp: string }[],
  reading: Reading,
): boolean {
  const { now } = reading;
  let again = false;
  const present = new Set<string>();
  for (const { path, stamp } of found) {
    present.add(path);
    const known = files.get(path);
    if (known?.stamp === stamp && known.emptySince === undefined) continue;
    const next = readFile(path, known, reading);
    if (next === undefined || next.emptySince !== undefined) again = true;
    if (next) files.set(path, { ...next, stamp });
  }
  for (const [path, known] of files) {
    if (present.has(path)) continue;
    known.emptySince ??= now;
    if (now - known.emptySince >= GONE_MS) files.delete(path);
    else again = true;
  }
  return again;
}

/** undefined: it changed under the reader. */
function readFile(path: string, known: KnownFile | undefined, { now, nodePeers }: Reading): KnownFile | undefined {
  const inForce = known?.objects ?? [];
  let text: string | undefined;
  try {
    text = readWhole(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') return undefined;
    return refused(inForce, [fileProblem(path, `Cannot read the file: ${(cause as Error).message}`)]);
  }
  if (text === undefined) return undefined;
  if (text.trim() === '' && inForce.length > 0) {
    const since = known?.emptySince ?? now;
    if (known && now - since < GONE_MS) return { ...known, emptySince: since };
  }
  const { objects, problems: found } = readObjects(path, text, { nodePeers });
  const problems = [...found, ...unenforceable(objects)];
  if (problems.some((problem) => !problem.warning)) return refused(inForce, problems);
  const kept = objects.map((object) => unchanged(inForce, object) ?? object);
  return { stamp: '', objects: inForce, read: kept, problems, emptySince: undefined };
}

function refused(inForce: readonly MeshObject[], problems: readonly Problem[]): KnownFile {
  return { stamp: '', objects: inForce, read: [], problems, emptySince: undefined };
}

export function fileProblem(file: string, reason: string): Problem {
  return { file, line: 1, field: '', reason, warning: false };
}

/** The object as it was, if only its place in the file moved: nothing that depends on it has to act. */
function unchanged(inForce: readonly MeshObject[], object: MeshObject): MeshObject | undefined {
  return inForce.find((old) => isDeepStrictEqual({ ...old, origin: undefined }, { ...object, origin: undefined }));
}

/**
 * Decides which file each object comes from, and puts what was read into force. Of two files with the same object, the
 * one that has it in force keeps it, else the one seen first; the other is refused whole until that one lets go.
 */
function settle(files: ReadonlyMap<string, KnownFile>): void {
  const owners = new Map<string, string>();
  for (const [path, file] of files) {
    const wanted = new Set(candidates(file).map(objectKey));
    for (const object of file.objects) if (wanted.has(objectKey(object))) owners.set(objectKey(object), path);
  }
  for (const [path, file] of files) {
    const taken = candidates(file).filter((object) => (owners.get(objectKey(object)) ?? path) !== path);
    const valid = isValid(file);
    file.problems = [
      ...file.problems.filter((problem) => !isDuplicate(problem)),
      ...taken.map((object) => duplicate(object, owners.get(objectKey(object)) ?? '')),
    ];
    if (taken.length > 0) file.objects = file.objects.filter((object) => owners.get(objectKey(object)) === path);
    else if (valid) file.objects = file.read;
    for (const object of file.objects) owners.set(objectKey(object), path);
  }
}

/** What the file would put into force if nothing else stood in the way. */
function candidates(file: KnownFile): readonly MeshObject[] {
  return isValid(file) ? file.read : file.objects;
}

function isValid(file: KnownFile): boolean {
  return !file.problems.some((problem) => !problem.warning && !isDuplicate(problem));
}

function duplicate(object: MeshObject, owner: string): Problem {
  const reason = `${objectKey(object)} is defined in ${owner} already`;
  return { ...object.origin, field: 'metadata.name', reason, warning: false, object: objectKey(object) };
}

function isDuplicate(problem: Problem): boolean {
  return problem.reason.endsWith(' already') && problem.field === 'metadata.name';
}

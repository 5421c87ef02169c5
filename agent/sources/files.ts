// The YAML files below a folder: what is there, what changed, and when it is safe to believe a file.

import { closeSync, fstatSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export interface FoundFile {
  readonly path: string;
  /** Changes whenever the content may have changed. */
  readonly stamp: string;
}

export interface Listing {
  readonly files: readonly FoundFile[];
  readonly folders: readonly string[];
  /** Folders and files that could not be looked at, with the reason. */
  readonly unreadable: ReadonlyMap<string, string>;
}

const MAX_FILES = 10_000;
const MAX_DEPTH = 16;
export const MAX_FILE_BYTES = 8 * 1024 * 1024;

/** Lists *.yaml, *.yml and *.json below `root`, sorted by path. Hidden names and editors' backups are left out. */
export function listFiles(root: string): Listing {
  const files: FoundFile[] = [];
  const folders: string[] = [];
  const unreadable = new Map<string, string>();
  const visit = (folder: string, depth: number): void => {
    if (depth > MAX_DEPTH) {
      unreadable.set(folder, `is more than ${MAX_DEPTH} folders deep`);
      return;
    }
    folders.push(folder);
    for (const name of readdirSync(folder).sort()) {
      if (name.startsWith('.') || name.endsWith('~')) continue;
      const path = join(folder, name);
      attempt(path, () => {
        const stat = statSync(path, { throwIfNoEntry: false });
        if (stat?.isDirectory()) visit(path, depth + 1);
        else if (stat?.isFile() && /\.(ya?ml|json)$/.test(name)) {
          if (files.length >= MAX_FILES) unreadable.set(path, `is one of more than ${MAX_FILES} files`);
          else files.push({ path, stamp: `${stat.ino}:${stat.size}:${stat.mtimeMs}:${stat.ctimeMs}` });
        }
      });
    }
  };
  const attempt = (path: string, run: () => void): void => {
    try {
      run();
    } catch (cause) {
      unreadable.set(path, `cannot be read: ${(cause as Error).message}`);
    }
  };
  attempt(root, () => visit(root, 0));
  return { files, folders, unreadable };
}

/** The content of `path`, or undefined if it changed while it was read (the caller looks again). Throws what the system says. */
export function readWhole(path: string): string | undefined {
  const fd = openSync(path, 'r');
  try {
    const before = fstatSync(fd);
    if (before.size > MAX_FILE_BYTES) throw new Error(`is larger than ${MAX_FILE_BYTES} bytes`);
    const text = readFileSync(fd, 'utf8');
    const after = fstatSync(fd);
    return before.size === after.size && before.mtimeMs === after.mtimeMs ? text : undefined;
  } finally {
    closeSync(fd);
  }
}

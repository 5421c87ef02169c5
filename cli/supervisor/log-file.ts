// Log files of bounded size that a process writes to by itself.

import { closeSync, copyFileSync, openSync, readFileSync, readSync, statSync, truncateSync } from 'node:fs';

/** One file holds at most this much between two looks, and its predecessor as much. */
const MAX_BYTES = 10 << 20;
const LOOK_MS = 5_000;
const TAIL_BYTES = 4096;

/** Keeps `path`, which its writer appends to, bounded: what is over goes to PATH.1. Lines of that moment may be lost. */
export function boundLog(path: string): Disposable {
  const look = (): void => {
    if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) <= MAX_BYTES) return;
    copyFileSync(path, `${path}.1`);
    truncateSync(path);
  };
  look();
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** The last `count` lines of a file; none if it cannot be read. */
export function lastLines(path: string, count: number): string[] {
  try {
    const { size } = statSync(path);
    if (size <= TAIL_BYTES) return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-count);
    const fd = openSync(path, 'r');
    try {
      const bytes = Buffer.alloc(TAIL_BYTES);
      const read = readSync(fd, bytes, 0, TAIL_BYTES, size - TAIL_BYTES);
      return bytes.toString('utf8', 0, read).trimEnd().split('\n').slice(1).slice(-count);
    } finally {
      closeSync(fd);
    }
  } catch {
    return [];
  }
}

// Many entries of a map by one system call: writing and deleting (reading: lookupBatch in libbpf.ts).

import koffi from 'koffi';
import { errnoName, int32 } from './libc.ts';

const library = koffi.load('libbpf.so.1');
const bind = <F>(definition: string): F => library.func(definition) as unknown as F;

type Bytes = Uint8Array;

const batchUpdate = bind<(fd: number, keys: Bytes, values: Bytes, count: Bytes, options: null) => number>(
  'int bpf_map_update_batch(int, void *, void *, void *, void *)',
);
const batchDelete = bind<(fd: number, keys: Bytes, count: Bytes, options: null) => number>(
  'int bpf_map_delete_batch(int, void *, void *, void *)',
);

/** What became of a batch. */
export interface BatchWrite {
  /** How many entries were done, in order. */
  readonly done: number;
  /** Name of the errno of the one after them; undefined: all are done. */
  readonly code?: string;
}

/**
 * Writes the first `count` entries of `keys` and `values`, in order, up to the first that the kernel does not take.
 * undefined: it has taken none, and cannot write this kind of map so (LPM tries: before 5.13): write one by one.
 */
export function updateBatch(
  fd: number,
  entries: { readonly keys: Bytes; readonly values: Bytes; readonly count: number },
): BatchWrite | undefined {
  const count = int32(entries.count);
  return batchWrite(batchUpdate(fd, entries.keys, entries.values, count, null), entries.count, count);
}

/** Deletes likewise. Code "ENOENT": there is no such entry. */
export function removeBatch(fd: number, keys: Bytes, asked: number): BatchWrite | undefined {
  const count = int32(asked);
  return batchWrite(batchDelete(fd, keys, count, null), asked, count);
}

/** The kernel says how many it has done, if it has begun at all; an entry that fails is not among them. */
function batchWrite(result: number, asked: number, count: Bytes): BatchWrite | undefined {
  const done = new DataView(count.buffer).getUint32(0, true);
  if (result >= 0) return { done };
  return done < asked ? { done, code: errnoName(-result) } : undefined;
}

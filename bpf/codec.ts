// How a struct shared with the kernel becomes bytes and back. Made for each struct by tools/abi into abi.ts.

/**
 * One struct of bpf/lib/abi.h. Integers are little-endian except network-order ports, which are numbers in host order on this side.
 * Padding is written as zeros and not read.
 */
export interface Struct<T> {
  /** Its name in C. */
  readonly name: string;
  readonly size: number; // bytes
  /** Offset in bytes of each field. */
  readonly offsets: { readonly [Field in keyof T]: number };
  /** Writes `value` to `target` at byte `at` (default: a new array of `size` bytes) and returns `target`. */
  encode(value: T, target?: Uint8Array, at?: number): Uint8Array;
  /** Reads a value from `bytes` at byte `at`. Throws a RangeError if it ends too early. */
  decode(bytes: Uint8Array, at?: number): T;
}

let last = new DataView<ArrayBufferLike>(new ArrayBuffer(0));

/** A view of all of `bytes`. Whoever asks for one of the same bytes again, as for each field of many structs, gets the same. */
export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  if (last.buffer !== buffer || last.byteOffset !== byteOffset || last.byteLength !== byteLength) {
    last = new DataView(buffer, byteOffset, byteLength);
  }
  return last;
}

/** A plain little-endian u32, for maps keyed by a number. */
export const u32: Pick<Struct<number>, 'size' | 'encode' | 'decode'> = {
  size: 4,
  encode(value, target = new Uint8Array(4), at = 0) {
    viewOf(target).setUint32(at, value, true);
    return target;
  },
  decode: (bytes, at = 0) => viewOf(bytes).getUint32(at, true),
};

/** A plain little-endian u64. */
export const u64: Pick<Struct<bigint>, 'size' | 'encode' | 'decode'> = {
  size: 8,
  encode(value, target = new Uint8Array(8), at = 0) {
    viewOf(target).setBigUint64(at, value, true);
    return target;
  },
  decode: (bytes, at = 0) => viewOf(bytes).getBigUint64(at, true),
};

/** Why a packet was dropped, as people see it. */
export interface DropReason {
  /** Enumerator in bpf/lib/drop.h. */
  readonly name: string;
  /** Label of metrics and flows. */
  readonly text: string;
  /** Name in flow.DropReason. */
  readonly flowName: string;
  readonly meaning: string;
}

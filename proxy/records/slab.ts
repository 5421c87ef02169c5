// Access records on their way from the data thread to the main thread: slots of shared memory that are written once,
// when the request and then its response are seen, and read once. No copies, no messages, nothing allocated.
//
// The data thread takes slots, the main thread gives them back. Two rings of slot numbers connect them: `done` (data
// thread to main thread) and `free` (back). Each ring has one writer and one reader.

export const SLOT_BYTES = 2048;
/** Requests that can be on record at once; with more in flight the rest go unrecorded and are counted. */
export const SLOTS = 4096; // a power of two

/** Offsets in a slot. */
export const AT = {
  timeMs: 0, // f64, Unix time of the head of the request
  latencyMs: 8, // f64, -1: no response
  requestBytes: 16, // f64
  responseBytes: 24, // f64
  sourceIdentity: 32, // u32
  destinationIdentity: 36, // u32
  egressPolicies: 40, // u32, number of a list of policies
  ingressPolicies: 44, // u32
  sourcePort: 48, // u16
  destinationPort: 50, // u16
  status: 52, // u16
  reason: 54, // u16, index into REASONS
  verdict: 56, // u8
  flags: 57, // u8
  methodBytes: 58, // u16
  hostBytes: 60, // u16
  pathBytes: 62, // u16
  traceStateBytes: 64, // u16
  source: 72, // 16 bytes
  destination: 88, // 16 bytes
  traceId: 104, // 32 hex digits
  parentSpanId: 136, // 16 hex digits
  durationMs: 152, // f64, to the end of the response
  text: 160, // method, host, path, trace state
} as const;

/** Bits at AT.flags. recorded: for the agent; a request that is only sampled lacks it. */
export const FLAG = { egress: 1, ingress: 2, sampled: 4, traced: 8, http10: 16, recorded: 32 } as const;
/** Bytes of text that a slot can hold. */
export const TEXT_BYTES = SLOT_BYTES - AT.text;

/** The shared memory; goes to the data thread as workerData. */
export interface SlabMemory {
  readonly slots: SharedArrayBuffer;
  readonly done: SharedArrayBuffer;
  readonly free: SharedArrayBuffer;
}

/** Memory for SLOTS slots, all free. Pages that are never used are never resident. */
export function createSlabMemory(): SlabMemory {
  return {
    slots: new SharedArrayBuffer(SLOTS * SLOT_BYTES),
    done: new SharedArrayBuffer(4 * (2 + SLOTS)),
    free: new SharedArrayBuffer(4 * (2 + SLOTS)),
  };
}

/** Views of one slab, the same in both threads. */
export interface Slab {
  readonly bytes: Buffer;
  readonly view: DataView;
}

/** The data thread's side. */
export interface SlabWriter extends Slab {
  /** A free slot's number, or -1. */
  take(): number;
  /** Hands a slot to the reader. */
  put(slot: number): void;
}

/** The main thread's side. */
export interface SlabReader extends Slab {
  /** Number of a filled slot, or -1. */
  take(): number;
  /** Gives a slot back. */
  put(slot: number): void;
}

/** Opens the writer's side. Call once. */
export function openSlabWriter(memory: SlabMemory): SlabWriter {
  const done = createRing(memory.done);
  const free = createRing(memory.free);
  // Last in, first out: as few pages as possible come into use.
  const stack = new Int32Array(SLOTS);
  let depth = 0;
  for (let slot = SLOTS - 1; slot >= 0; slot--) stack[depth++] = slot;
  return {
    ...viewsOf(memory),
    take() {
      if (depth === 0) {
        for (let slot = free.pop(); slot >= 0; slot = free.pop()) stack[depth++] = slot;
        if (depth === 0) return -1;
      }
      return stack[--depth] as number;
    },
    put: (slot) => {
      done.push(slot);
      const back = free.pop();
      if (back >= 0) stack[depth++] = back;
    },
  };
}

/** Opens the reader's side. Call once. */
export function openSlabReader(memory: SlabMemory): SlabReader {
  const done = createRing(memory.done);
  const free = createRing(memory.free);
  return { ...viewsOf(memory), take: done.pop, put: free.push };
}

function viewsOf(memory: SlabMemory): Slab {
  return { bytes: Buffer.from(memory.slots), view: new DataView(memory.slots) };
}

interface Ring {
  push(slot: number): void;
  pop(): number;
}

const HEAD = 0; // next to read
const TAIL = 1; // next to write

/** A ring of numbers with room for every slot, so that push never finds it full. */
function createRing(memory: SharedArrayBuffer): Ring {
  const words = new Int32Array(memory);
  return {
    push(slot) {
      const tail = Atomics.load(words, TAIL);
      words[2 + (tail & (SLOTS - 1))] = slot;
      Atomics.store(words, TAIL, (tail + 1) | 0);
    },
    pop() {
      const head = Atomics.load(words, HEAD);
      if (head === Atomics.load(words, TAIL)) return -1;
      const slot = words[2 + (head & (SLOTS - 1))] as number;
      Atomics.store(words, HEAD, (head + 1) | 0);
      return slot;
    },
  };
}

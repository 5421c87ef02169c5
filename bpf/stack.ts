// How much stack a program's deepest chain of calls takes, as the oldest kernel counts it. Newer ones round less: what they
// load may be refused there.

/** The verifier's limit for all frames of a chain together (MAX_BPF_STACK). */
export const STACK_LIMIT_BYTES = 512;

/** Linux 6.1 rounds each frame up to this (check_max_stack_depth); with a JIT, from 6.8 on, to 16. */
const FRAME_ROUNDING_BYTES = 32;

interface Frame {
  depthBytes: number;
  readonly callees: Set<number>;
}

interface Instruction {
  readonly code: number;
  readonly destination: number;
  readonly source: number;
  readonly offset: number;
  readonly immediate: number;
}

const SIZE_BYTES = 8;
const FRAME_POINTER = 10;
const CALL = 0x85;
const PSEUDO_CALL = 1; // source register of a call within the program
const LOAD_WIDE = 0x18; // 64 bit, a constant
const PSEUDO_FUNCTION = 4; // source register of a constant that is a function, for a helper that calls it
const MOVE = 0xbf; // 64 bit, from a register
const ADD = 0x07; // 64 bit, a constant
const CLASS = { load: 1, store: 2, storeRegister: 3, jump: 5, jump32: 6 };

/** Bytes of stack of the deepest chain from instruction 0. `program`: as the kernel has it after JIT compilation. */
export function stackBytes(program: Uint8Array): number {
  const code = decode(program);
  const starts = new Set([0, ...code.flatMap((_, at) => calleeOf(code, at) ?? [])]);
  const frames = new Map<number, Frame>();
  let frame: Frame = { depthBytes: 0, callees: new Set() };
  let pointers = new Set<number>(); // registers that are copies of the frame pointer
  for (const [at, instruction] of code.entries()) {
    if (starts.has(at)) {
      frame = { depthBytes: 0, callees: new Set() };
      pointers = new Set();
      frames.set(at, frame);
    }
    frame.depthBytes = Math.max(frame.depthBytes, reachBytes(instruction, pointers));
    const callee = calleeOf(code, at);
    if (callee !== undefined) frame.callees.add(callee);
  }
  return deepest(frames, 0);
}

// There is no recursion: the verifier refuses it.
function deepest(frames: ReadonlyMap<number, Frame>, start: number): number {
  const frame = frames.get(start);
  if (frame === undefined) throw new Error(`Cannot follow a call: no function begins at ${start}`);
  const own = Math.ceil(Math.max(frame.depthBytes, 1) / FRAME_ROUNDING_BYTES) * FRAME_ROUNDING_BYTES;
  return own + Math.max(0, ...[...frame.callees].map((callee) => deepest(frames, callee)));
}

/** How far below the frame pointer the instruction reads, writes or points. */
function reachBytes(instruction: Instruction, pointers: Set<number>): number {
  const { code, destination, source, offset, immediate } = instruction;
  const kind = code & 7;
  if (kind === CLASS.store || kind === CLASS.storeRegister) return destination === FRAME_POINTER ? -offset : 0;
  if (kind === CLASS.jump || kind === CLASS.jump32) return 0;
  if (code === ADD && pointers.delete(destination)) return -immediate;
  pointers.delete(destination);
  if (code === MOVE && source === FRAME_POINTER) pointers.add(destination);
  return kind === CLASS.load && source === FRAME_POINTER ? -offset : 0;
}

/** The instruction that a call goes to, now or by a helper. The JIT has left the distance of a call in `offset`. */
function calleeOf(code: readonly Instruction[], at: number): number | undefined {
  const instruction = code[at];
  if (instruction?.code === LOAD_WIDE && instruction.source === PSEUDO_FUNCTION) return at + 1 + instruction.immediate;
  const isCall = instruction?.code === CALL && instruction.source === PSEUDO_CALL;
  return isCall ? at + 1 + instruction.offset : undefined;
}

function decode(program: Uint8Array): Instruction[] {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  return Array.from({ length: program.length / SIZE_BYTES }, (_, index) => {
    const at = index * SIZE_BYTES;
    const registers = view.getUint8(at + 1);
    return {
      code: view.getUint8(at),
      destination: registers & 15,
      source: registers >> 4,
      offset: view.getInt16(at + 2, true),
      immediate: view.getInt32(at + 4, true),
    };
  });
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STACK_LIMIT_BYTES, stackBytes } from './stack.ts';

/** [code, destination, source, offset, immediate] */
type Line = readonly [number, number, number, number, number];

const EXIT: Line = [0x95, 0, 0, 0, 0];
const call = (distance: number): Line => [0x85, 0, 1, distance, 0];
const store = (offset: number): Line => [0x7b, 10, 1, offset, 0]; // *(u64 *)(r10 + offset) = r1
const load = (offset: number): Line => [0x79, 1, 10, offset, 0];
const point = (register: number): Line => [0xbf, register, 10, 0, 0];
const add = (register: number, bytes: number): Line => [0x07, register, 0, 0, bytes];
const constant = (register: number): Line => [0xb7, register, 0, 0, 1];

for (const { what, program, expected } of [
  { what: 'nothing', program: [EXIT], expected: 32 },
  { what: 'a store', program: [store(-40), EXIT], expected: 64 },
  { what: 'a load', program: [load(-64), EXIT], expected: 64 },
  { what: 'a pointer for a helper', program: [point(2), constant(3), add(2, -72), EXIT], expected: 96 },
  {
    what: 'a number in a register that was a pointer',
    program: [point(2), constant(2), add(2, -72), EXIT],
    expected: 32,
  },
  { what: 'a store beside the stack', program: [[0x7b, 1, 2, -400, 0], EXIT], expected: 32 },
  { what: "a helper's call", program: [[0x85, 0, 0, 0, 1], EXIT], expected: 32 },
  { what: 'a callee', program: [store(-8), call(1), EXIT, store(-33), EXIT], expected: 32 + 64 },
  {
    what: 'a callback that a helper is given',
    program: [store(-8), [0x18, 2, 4, 0, 3], [0, 0, 0, 0, 0], [0x85, 0, 0, 0, 164], EXIT, store(-40), EXIT],
    expected: 32 + 64,
  },
  {
    what: 'the deeper of two callees',
    program: [call(2), call(2), EXIT, EXIT, store(-100), EXIT],
    expected: 32 + 128,
  },
  {
    what: 'a callee of a callee, backwards too',
    program: [call(3), EXIT, store(-48), EXIT, store(-8), call(-4), EXIT],
    expected: 32 + 32 + 64,
  },
  {
    what: 'more than there is: seventeen frames of next to nothing',
    program: [...Array.from({ length: 16 }, () => [call(1), EXIT]).flat(), EXIT],
    expected: STACK_LIMIT_BYTES + 32,
  },
] satisfies { what: string; program: Line[]; expected: number }[]) {
  test(`stackBytes counts ${what}`, () => {
    assert.equal(stackBytes(assemble(program)), expected);
  });
}

test('stackBytes throws on a call to outside of the program', () => {
  assert.throws(() => stackBytes(assemble([call(7), EXIT])), /no function begins at 8/);
});

function assemble(program: readonly Line[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(program.length * 8));
  for (const [index, [code, destination, source, offset, immediate]] of program.entries()) {
    view.setUint8(index * 8, code);
    view.setUint8(index * 8 + 1, (source << 4) | destination);
    view.setInt16(index * 8 + 2, offset, true);
    view.setInt32(index * 8 + 4, immediate, true);
  }
  return new Uint8Array(view.buffer);
}

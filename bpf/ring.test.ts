// The ring buffer's reading side on plain memory, with records as the kernel writes them.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type FlowEvent, flowEvent } from './abi.ts';
import { createReader } from './ring.ts';

const PAGE = 4096;
const SIZE = 4096;
const RECORD = 8 + flowEvent.size;
const BUSY = 0x8000_0000;
const DISCARD = 0x4000_0000;

/** A ring in memory and the kernel's side of it. */
function createMemory(start = 0n) {
  const consumer = new ArrayBuffer(PAGE);
  const producer = new ArrayBuffer(PAGE + 2 * SIZE);
  const consumed = new BigUint64Array(consumer, 0, 1);
  const produced = new BigUint64Array(producer, 0, 1);
  consumed[0] = produced[0] = start;
  const put = (at: number, bytes: Uint8Array): void => {
    for (const [i, byte] of bytes.entries()) {
      const offset = (at + i) % SIZE; // both copies show the same memory
      new Uint8Array(producer, PAGE)[offset] = byte;
      new Uint8Array(producer, PAGE + SIZE)[offset] = byte;
    }
  };
  return {
    reader: createReader({ consumer, producer, size: SIZE }),
    consumed: () => consumed[0],
    write(event: Partial<FlowEvent>, flags = 0): number {
      const at = Number((produced[0] ?? 0n) % BigInt(SIZE));
      const blank = flowEvent.decode(new Uint8Array(flowEvent.size));
      put(at, new Uint8Array(new Uint32Array([(flowEvent.size | flags) >>> 0, 0]).buffer));
      put(at + 8, flowEvent.encode({ ...blank, ...event }));
      produced[0] = (produced[0] ?? 0n) + BigInt(RECORD);
      return at;
    },
    setHeader: (at: number, value: number) => put(at, new Uint8Array(new Uint32Array([value >>> 0, 0]).buffer)),
  };
}

describe('createReader', () => {
  test('an empty ring gives nothing', () => {
    assert.deepEqual(createMemory().reader.read(), []);
  });

  test('events come once, in order, and their room is given back', () => {
    const memory = createMemory();
    memory.write({ kind: 1, timeNs: 123456789012345678n });
    memory.write({ kind: 2, sourcePort: 443 });
    const events = memory.reader.read();
    assert.deepEqual(
      events.map(({ kind, timeNs, sourcePort }) => [kind, timeNs, sourcePort]),
      [
        [1, 123456789012345678n, 0],
        [2, 0n, 443],
      ],
    );
    assert.equal(memory.consumed(), BigInt(2 * RECORD));
    assert.deepEqual(memory.reader.read(), []);
  });

  test('a record that is not submitted yet holds back those after it', () => {
    const memory = createMemory();
    memory.write({ kind: 1 });
    const at = memory.write({ kind: 2 }, BUSY);
    memory.write({ kind: 3 });
    assert.deepEqual(
      memory.reader.read().map(({ kind }) => kind),
      [1],
    );
    memory.setHeader(at, flowEvent.size);
    assert.deepEqual(
      memory.reader.read().map(({ kind }) => kind),
      [2, 3],
    );
  });

  test('a discarded record is stepped over', () => {
    const memory = createMemory();
    memory.write({ kind: 1 }, DISCARD);
    memory.write({ kind: 2 });
    assert.deepEqual(
      memory.reader.read().map(({ kind }) => kind),
      [2],
    );
  });

  test('records wrap around the end, for many rounds', () => {
    const memory = createMemory(BigInt(SIZE) * 1_000_000n);
    for (let round = 0; round < 100; round++) {
      memory.write({ length: round });
      memory.write({ length: round + 1000 });
      assert.deepEqual(
        memory.reader.read().map(({ length }) => length),
        [round, round + 1000],
      );
    }
  });
});

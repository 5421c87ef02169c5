// Reads flow events from the kernel's ring buffer through shared memory: no system call for each event.
//
// Layout (kernel/bpf/ringbuf.c): one page that the consumer writes (its position), one page that the kernel writes (the
// producer's position), then the data twice in a row, so that a record that wraps is contiguous. A record is a header of
// 8 bytes (length with two flag bits, page offset) and its data, rounded up to 8.

import { mapInfo } from '#common/native/libbpf.ts';
import { mapShared, PROT } from '#common/native/libc.ts';
import { type FlowEvent, flowEvent } from './abi.ts';

const PAGE = 4096; // of x86-64, and of arm64 as Debian builds it
const BUSY = 0x8000_0000; // reserved, not yet submitted
const DISCARD = 0x4000_0000;
const HEADER = 8;
const POLL_MS = 20;
/** Events for each poll: at 20 ms between polls, 200,000 a second; the rest waits in the ring. */
const MAX_PER_POLL = 4096;

export interface Ring extends Disposable {
  /** Reads what is there now (at most MAX_PER_POLL events) and hands it over; returns how many events it was. */
  poll(): number;
}

/** Polls the ring buffer map `fd` every 20 ms. `onEvents` gets events in order, one batch for each poll that found some. */
export function createRing(fd: number, onEvents: (events: readonly FlowEvent[]) => void): Ring {
  const size = mapInfo(fd).maxEntries;
  const consumer = mapShared({ fd, sizeBytes: PAGE, protection: PROT.READ | PROT.WRITE });
  const producer = mapShared({ fd, sizeBytes: PAGE + 2 * size, protection: PROT.READ, offset: PAGE });
  const reader = createReader({ consumer: consumer.bytes, producer: producer.bytes, size });
  const poll = (): number => {
    const events = reader.read();
    if (events.length > 0) onEvents(events);
    return events.length;
  };
  const timer = setInterval(poll, POLL_MS);
  timer.unref();
  return {
    poll,
    [Symbol.dispose]() {
      clearInterval(timer);
      producer[Symbol.dispose]();
      consumer[Symbol.dispose]();
    },
  };
}

/** The reading side on plain memory: `consumer` holds the position page, `producer` the other page and the data twice. */
export function createReader(memory: { consumer: ArrayBuffer; producer: ArrayBuffer; size: number }): {
  read(): FlowEvent[];
} {
  const consumed = new BigUint64Array(memory.consumer, 0, 1);
  const produced = new BigUint64Array(memory.producer, 0, 1);
  const headers = new Uint32Array(memory.producer, PAGE);
  const data = new Uint8Array(memory.producer, PAGE);
  const mask = memory.size - 1;
  return {
    read() {
      const events: FlowEvent[] = [];
      let position = Atomics.load(consumed, 0);
      const end = Atomics.load(produced, 0); // acquire: what was produced before it is visible
      while (position < end && events.length < MAX_PER_POLL) {
        const at = Number(position & BigInt(mask));
        const header = Atomics.load(headers, at >> 2);
        if (header & BUSY) break;
        const length = header & ~(BUSY | DISCARD);
        if (!(header & DISCARD) && length === flowEvent.size) events.push(flowEvent.decode(data, at + HEADER));
        position += BigInt((length + HEADER + 7) & ~7);
      }
      Atomics.store(consumed, 0, position); // release: the kernel may write over what was read
      return events;
    },
  };
}

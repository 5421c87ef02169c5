// One request and its response, from the head of the one to the end of the other.

export interface Exchange {
  next: Exchange | undefined;
  method: number; // METHOD
  /** The proxy's own answer; undefined: the request was forwarded. */
  answer: Buffer | undefined;
  /** The connection ends after the response. */
  last: boolean;
  /** Protocols that the request asks to upgrade to; '': none. */
  upgrade: string;
  /** The client may wait for a 100 before it sends the body, and the server has not sent one. */
  expecting: boolean;
  startedMs: number; // performance.now() when the head was complete
  /** Slot of its record, -1: none. */
  slot: number;
  requestBytes: number;
  responseBytes: number;
}

export interface ExchangePool {
  take(): Exchange;
  give(exchange: Exchange): void;
}

/** Exchanges kept for reuse; beyond, the garbage collector has them. */
const MAX_KEPT = 1024;

/** A pool: a request allocates nothing while exchanges are at hand. */
export function createExchangePool(): ExchangePool {
  const kept: Exchange[] = [];
  return {
    take: () => kept.pop() ?? blank(),
    give(exchange) {
      exchange.next = undefined;
      exchange.answer = undefined;
      if (kept.length < MAX_KEPT) kept.push(exchange);
    },
  };
}

function blank(): Exchange {
  return {
    next: undefined,
    method: 0,
    answer: undefined,
    last: false,
    upgrade: '',
    expecting: false,
    startedMs: 0,
    slot: -1,
    requestBytes: 0,
    responseBytes: 0,
  };
}

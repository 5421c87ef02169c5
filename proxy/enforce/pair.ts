// The state of one proxied connection: two legs, where reading stands on each, and the exchanges in flight.

import type { Body } from '../http1/body.ts';
import { createBody } from '../http1/body.ts';
import type { PeerRules } from '../rules/ruleset.ts';
import type { Exchange } from './exchange.ts';
import type { Origin } from './origin.ts';

/** Why a leg is not read from. Bits of Leg.paused. */
export const PAUSE = {
  /** The other leg's socket takes no more. */
  backpressure: 1,
  /** An upgrade or CONNECT is not decided. */
  undecided: 2,
  /** Too many requests wait for responses. */
  pipelined: 4,
  /** Nothing more is wanted. */
  done: 8,
  /** The client does not take the answers that it has already been given. */
  answers: 16,
} as const;

/**
 * What the client's next bytes are. discard: the body of a denied request; undecided: a head or a tunnel, which the
 * response to an upgrade or CONNECT will tell; ignored: nothing that is wanted.
 */
export const REQUEST = { head: 0, body: 1, discard: 2, tunnel: 3, ignored: 4, undecided: 5 } as const;
/** What the server's next bytes are. `drain`: passed on until the server closes, with nothing going the other way. */
export const RESPONSE = { head: 0, body: 1, tunnel: 2, drain: 3 } as const;
/** closing: the client gets what waits for it, then the end. lingering: its bytes are read and thrown away. */
export const PAIR = { open: 0, closing: 1, lingering: 2, closed: 3 } as const;

/** One socket of a pair. */
export interface Leg {
  readonly pair: Pair;
  readonly upstream: boolean;
  fd: number; // -1: none
  /** Tells events of this socket from late ones of another with the same number. */
  generation: number;
  /** The socket may have bytes, or its end, to read. */
  readable: boolean;
  /** The peer has ended or reset; reading must go on until that is seen. */
  hungUp: boolean;
  /** The end was read. */
  ended: boolean;
  paused: number;
  /** In the engine's list of legs to go on with. */
  queued: boolean;
  /** Bytes received and not yet dealt with; undefined: none. */
  input: Buffer | undefined;
  inputAddress: number;
  inputStart: number;
  inputEnd: number;
  /** The input is the beginning of a head: only more bytes help. */
  partial: boolean;
  /** Up to where the end of that head has been looked for. */
  searched: number;
  /** Bytes to send; undefined: none. */
  output: Buffer | undefined;
  outputAddress: number;
  outputStart: number;
  outputEnd: number;
  /** Send the end after the output. */
  finishing: boolean;
  /** The end was sent, or cannot be sent any more. */
  finished: boolean;
}

export interface Pair {
  readonly down: Leg;
  readonly up: Leg;
  readonly origin: Origin;
  state: number; // PAIR
  request: number; // REQUEST
  /** What follows the request's body. */
  requestAfter: number; // REQUEST
  readonly requestBody: Body;
  /** Bytes of a denied request's body that may still be thrown away. */
  discardable: number;
  response: number; // RESPONSE
  readonly responseBody: Body;
  /** The connection ends after the response being read. */
  lastResponse: boolean;
  interim: number;
  /** Exchanges in order, linked by `next`. */
  first: Exchange | undefined;
  newest: Exchange | undefined;
  inFlight: number;
  /** The upstream socket is connected. */
  connected: boolean;
  /** The server has answered on this connection. */
  answered: boolean;
  /** Close the client's connection by reading on until it closes, so that nothing sent to it is lost. */
  linger: boolean;
  /** A socket failed or memory ran out: to be closed with a reset as soon as the current work is left. */
  broken: boolean;
  egress: PeerRules | undefined;
  ingress: PeerRules | undefined;
  epoch: number;
  /** Everything so far went through as it came: sequence numbers of both legs align. */
  verbatim: boolean;
  /** Tick of the last byte; of accept, or the first byte of an incomplete head; of the connect: 0: none. */
  activeTick: number;
  headTick: number;
  connectTick: number;
  /** Place in the engine's list of pairs. */
  index: number;
}

/** A pair whose client is `fd` and whose server is not connected yet. `generation`: unique among sockets. */
export function createPair(origin: Origin, fd: number, tick: number): Pair {
  const pair: Pair = {
    down: undefined as unknown as Leg, // the legs need the pair
    up: undefined as unknown as Leg,
    origin,
    state: PAIR.open,
    request: REQUEST.head,
    requestAfter: REQUEST.head,
    requestBody: createBody(),
    discardable: 0,
    response: RESPONSE.head,
    responseBody: createBody(),
    lastResponse: false,
    interim: 0,
    first: undefined,
    newest: undefined,
    inFlight: 0,
    connected: false,
    answered: false,
    linger: false,
    broken: false,
    egress: undefined,
    ingress: undefined,
    epoch: -1,
    verbatim: true,
    activeTick: tick,
    headTick: 0,
    connectTick: 0,
    index: -1,
  };
  const writable = pair as { -readonly [K in keyof Pair]: Pair[K] };
  writable.down = createLeg(pair, fd, false);
  writable.up = createLeg(pair, -1, true);
  return pair;
}

function createLeg(pair: Pair, fd: number, upstream: boolean): Leg {
  return {
    pair,
    upstream,
    fd,
    generation: 0,
    readable: false,
    hungUp: false,
    ended: false,
    paused: 0,
    queued: false,
    input: undefined,
    inputAddress: 0,
    inputStart: 0,
    inputEnd: 0,
    partial: false,
    searched: 0,
    output: undefined,
    outputAddress: 0,
    outputStart: 0,
    outputEnd: 0,
    finishing: false,
    finished: false,
  };
}

/** Is the connection between messages: nothing in flight, nothing half read, nothing waiting to be sent? */
export function isQuiet(pair: Pair): boolean {
  return (
    pair.inFlight === 0 &&
    pair.request === REQUEST.head &&
    pair.response === RESPONSE.head &&
    pair.down.input === undefined &&
    pair.up.input === undefined &&
    pair.down.output === undefined &&
    pair.up.output === undefined
  );
}

// The limits of one worker. Each has a counter ("limit|..." in counters.ts) and a stated behaviour when it is met.

export interface Limits {
  /** Bytes of a request or response head; beyond: 431 (414 within the request line), 502 for a response. */
  readonly maxHeadBytes: number;
  /** Fields of a head; beyond: 431, 502 for a response. */
  readonly maxFields: number;
  /** Client connections; beyond: a new one is closed at once. */
  readonly maxConnections: number;
  /** Client connections from one address, a quarter of all; beyond: a new one is closed at once. */
  readonly maxConnectionsPerSource: number;
  /** Requests of one connection that wait for their response; beyond: the client's next bytes wait. */
  readonly maxPipelined: number;
  /** Body of a denied request that is read and thrown away so that the connection can go on; beyond: closed. */
  readonly maxDiscardBytes: number;
  /** Interim (1xx) responses to one request; beyond: 502. */
  readonly maxInterim: number;
  /** Bytes of all connections that wait in memory; beyond: the connection that needs more is closed. */
  readonly maxWaitingBytes: number;
  /** Bytes that compiled rules may come to hold; beyond: rules there is no room for allow nothing, and the log says so. */
  readonly maxRuleBytes: number;
  /**
   * From the first byte of a head to its last; then: 408. For the first head of a connection from accept; then also closed
   * without an answer if nothing of it has come.
   */
  readonly headTimeoutMs: number;
  /** Without a byte in either direction; then: closed, with 504 if a response is due. */
  readonly idleTimeoutMs: number;
  /** For the connection to the server; then: 503. */
  readonly connectTimeoutMs: number;
  /** Records of allowed requests per second; the rest is counted and goes unrecorded. */
  readonly recordsPerSecond: number;
  /**
   * Most sampled requests per second that become spans; the rest is counted. Export costs about as much as the request itself:
   * fewer do where they cost much (records/span-budget.ts).
   */
  readonly sampledPerSecond: number;
  /** Records of denied, refused and failed requests per second. */
  readonly deniedRecordsPerSecond: number;
}

export const DEFAULT_LIMITS: Limits = {
  maxHeadBytes: 64 * 1024,
  maxFields: 128,
  maxConnections: 16_384,
  maxConnectionsPerSource: 4_096,
  maxPipelined: 64,
  maxDiscardBytes: 1024 * 1024,
  maxInterim: 32,
  maxWaitingBytes: 256 * 1024 * 1024,
  maxRuleBytes: 256 * 1024 * 1024,
  headTimeoutMs: 60_000,
  idleTimeoutMs: 3_600_000,
  connectTimeoutMs: 5_000,
  recordsPerSecond: 2_000,
  sampledPerSecond: 5_000,
  deniedRecordsPerSecond: 2_000,
};

// What the proxy reports of a request.

/** weir.proxy.v1.AccessRecord of api/proxy.proto, decoded with camel-case names. 64-bit numbers may be decimal texts. */
export interface AccessRecord {
  readonly timeUnixNs: bigint | number | string;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sourceIdentity: number;
  readonly destinationIdentity: number;
  readonly egress: boolean;
  readonly ingress: boolean;
  readonly verdict: string | number;
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly protocol: string;
  readonly status: number;
  readonly latencyNs: bigint | number | string;
  readonly policies: readonly string[];
  readonly reason: string;
  readonly traceId: Uint8Array;
}

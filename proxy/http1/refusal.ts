// Why a message is not acceptable, and what the client is told. Every reason is one line of this table.

/** Reasons to refuse a request, with the status that the client gets. */
export const REFUSALS = {
  'malformed request line': 400,
  'request line too long': 414,
  'method not supported': 501,
  'HTTP version not supported': 505,
  'malformed request target': 400,
  'control character in path': 400,
  'path can be read in more than one way': 400,
  'line ended by a bare LF': 400,
  'bare CR': 400,
  'control character in field': 400,
  'malformed field name': 400,
  'folded field line': 400,
  'too many fields': 431,
  'head too large': 431,
  'missing Host': 400,
  'repeated Host': 400,
  'malformed Host': 400,
  'malformed Content-Length': 400,
  'repeated Content-Length': 400,
  'Content-Length with Transfer-Encoding': 400,
  'malformed Transfer-Encoding': 400,
  'transfer coding not supported': 501,
  'Transfer-Encoding in HTTP/1.0': 400,
  'field that imitates framing': 400,
  'Connection names a framing field': 400,
  'malformed Connection': 400,
  'upgrade not acceptable': 400,
  'expectation not supported': 417,
  'CONNECT with content': 400,
  'malformed chunk': 400,
  'chunk extension too long': 400,
  'forbidden trailer field': 400,
  'trailers too large': 431,
  'head not complete in time': 408,
} as const satisfies Record<string, number>;

export type Refusal = keyof typeof REFUSALS;

/** Why the upstream side failed, with the status that the client gets if no response has begun. */
export const UPSTREAM_FAILURES = {
  'connection refused or timed out': 503,
  'connection closed before the response': 502,
  'malformed response': 502,
  'too many interim responses': 502,
  'no response in time': 504,
  'no memory for waiting bytes': 503,
} as const satisfies Record<string, number>;

export type UpstreamFailure = keyof typeof UPSTREAM_FAILURES;

const PHRASES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  408: 'Request Timeout',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  431: 'Request Header Fields Too Large',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
};

function reply(options: { status: number; body: string; close: boolean; head?: boolean }): Buffer {
  const { status, body, close, head = false } = options;
  return Buffer.from(
    `HTTP/1.1 ${status} ${PHRASES[status]}\r\ncontent-type: text/plain\r\ncontent-length: ${body.length}\r\n` +
      `${close ? 'connection: close\r\n' : ''}\r\n${head ? '' : body}`,
    'latin1',
  );
}

const DENIED = 'Access denied\r\n';
const denials = [false, true].map((head) =>
  [false, true].map((close) => reply({ status: 403, body: DENIED, close, head })),
);

/** The answer to a request that policy denies. `head`: it answers HEAD, so its body is left out. */
export function denial(options: { head: boolean; close: boolean }): Buffer {
  return denials[Number(options.head)]?.[Number(options.close)] as Buffer;
}

const cached = new Map<string, Buffer>();

/** The answer to a request that is refused or cannot be served; the connection ends after it. */
export function failure(reason: Refusal | UpstreamFailure): Buffer {
  let bytes = cached.get(reason);
  if (bytes === undefined) {
    const status = reason in REFUSALS ? REFUSALS[reason as Refusal] : UPSTREAM_FAILURES[reason as UpstreamFailure];
    bytes = reply({ status, body: `${reason}\r\n`, close: true });
    cached.set(reason, bytes);
  }
  return bytes;
}

/** The status that goes with `reason`. */
export function failureStatus(reason: Refusal | UpstreamFailure): number {
  return reason in REFUSALS ? REFUSALS[reason as Refusal] : UPSTREAM_FAILURES[reason as UpstreamFailure];
}

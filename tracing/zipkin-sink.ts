// Sends batches to a Zipkin server: POST /api/v2/spans over one kept connection.

import { Client, errors } from 'undici';
import { err, ok, type Result } from '#common/result.ts';
import { SEND_TIMEOUT_MS, type Sink, type SinkFailure } from './sink.ts';
import type { ZipkinBody } from './zipkin.ts';

/** A sink for the Zipkin server at `url`, e.g. http://10.0.0.9:9411/api/v2/spans. */
export function createZipkinSink(url: URL): Sink<ZipkinBody> {
  const client = new Client(url.origin, { connect: { timeout: SEND_TIMEOUT_MS }, pipelining: 1 });
  return {
    async send(batch): Promise<Result<void, SinkFailure>> {
      try {
        const response = await client.request({
          method: 'POST',
          path: url.pathname + url.search,
          headers: { 'content-type': 'application/json' },
          body: batch.body(),
          signal: AbortSignal.timeout(SEND_TIMEOUT_MS),
        });
        await response.body.dump();
        const { statusCode } = response;
        if (statusCode < 300) return ok(undefined);
        return err({
          reason: 'rejected',
          retryable: statusCode >= 500 || statusCode === 429,
          detail: `Cannot send spans to ${url}: it answered ${statusCode}`,
        });
      } catch (cause) {
        return err(failure(url, cause as Error));
      }
    },
    close: () => client.destroy(),
  };
}

function failure(url: URL, cause: Error): SinkFailure {
  const timeout = cause.name === 'TimeoutError' || cause instanceof errors.ConnectTimeoutError;
  return {
    reason: timeout ? 'timeout' : 'unreachable',
    retryable: !timeout,
    detail: `Cannot send spans to ${url}: ${cause.message || cause.name}`,
  };
}

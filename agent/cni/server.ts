// The socket that weir-cni speaks to.

import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { Logger } from '#common/log.ts';
import type { CniPlugin } from './plugin.ts';
import { CNI_CODE, type CniError, parseRequest } from './request.ts';

export interface CniServer {
  /** Stops accepting and breaks off what is open. */
  close(): Promise<void>;
}

/** More callers than this at once wait in the kernel's queue. */
const MAX_CALLERS = 64;
const MAX_REQUEST_BYTES = (1 << 20) + (64 << 10);
/** weir-cni sends at once; who does not is not weir-cni. */
const REQUEST_TIMEOUT_MS = 5_000;

/** Listens on `path` for root only. A socket file that an earlier agent left is replaced. */
export async function startCniServer(options: {
  readonly path: string;
  readonly plugin: Pick<CniPlugin, 'handle'>;
  readonly log: Logger;
}): Promise<CniServer> {
  const { path, plugin, log } = options;
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', (error) => log.debug({ error: error.message }, 'CNI caller went away'));
    serve(socket, plugin);
  });
  server.maxConnections = MAX_CALLERS;
  rmSync(path, { force: true });
  await listen(server, path);
  chmodSync(path, 0o600);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function serve(socket: Socket, plugin: Pick<CniPlugin, 'handle'>): void {
  const chunks: Buffer[] = [];
  let size = 0;
  socket.setTimeout(REQUEST_TIMEOUT_MS, () => socket.destroy());
  socket.on('data', (chunk) => {
    chunks.push(chunk as Buffer);
    size += chunk.length;
    if (size > MAX_REQUEST_BYTES) socket.destroy();
  });
  socket.on('end', async () => {
    socket.setTimeout(0);
    const request = parseRequest(Buffer.concat(chunks));
    const version = request.ok ? request.value.version : '1.1.0';
    const outcome = request.ok ? await plugin.handle(request.value) : request;
    socket.end(outcome.ok ? success(outcome.value) : failure(version, outcome.error));
  });
}

/** DEL, CHECK, GC and STATUS answer nothing. */
function success(value: unknown): string {
  return value === undefined ? '+' : `+${JSON.stringify(value)}\n`;
}

function failure(cniVersion: string, error: CniError): string {
  const { code = CNI_CODE.io, msg, details } = error;
  return `-${JSON.stringify({ cniVersion, code, msg, details })}\n`;
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      reject(new Error(`Cannot listen on "${path}": ${cause.message}`, { cause }));
    });
    server.listen(path, () => resolve());
  });
}

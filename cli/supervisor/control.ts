// How `weir down` tells a living `weir up` to end: one line each way over a socket in the run directory.

import { chmodSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { NodeLayout } from '#agent/layout.ts';

export type DownAnswer =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly reason: string }
  /** Nobody listens, or who listened died. */
  | { readonly kind: 'gone' };

export interface Control {
  /** Tells everybody who asked for it how the end went (`problem` '': well), and stops listening. */
  finish(problem: string): Promise<void>;
}

/** More callers than that have nothing to say. */
const MAX_CALLERS = 16;

/** Listens for `down`; `onDown` is called for the first. The caller holds the node's lock: an old socket is a dead one's. */
export async function listenForDown(layout: NodeLayout, onDown: () => void): Promise<Control> {
  const path = socketPath(layout);
  const callers = new Set<Socket>();
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('close', () => callers.delete(socket));
    socket.once('data', () => {
      callers.add(socket);
      onDown();
    });
  });
  server.maxConnections = MAX_CALLERS;
  rmSync(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  chmodSync(path, 0o600);
  return {
    async finish(problem) {
      server.close();
      await Promise.all(
        [...callers].map((socket) => new Promise<void>((resolve) => socket.end(`${problem || 'done'}\n`, resolve))),
      );
    },
  };
}

/** Asks the `weir up` of the node to end, and waits until it has. */
export function askDown(layout: NodeLayout, signal: AbortSignal): Promise<DownAnswer> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(socketPath(layout));
    let text = '';
    const give = (): void => {
      socket.destroy();
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', give, { once: true });
    socket.setEncoding('utf8');
    socket.on('connect', () => socket.write('down\n'));
    socket.on('data', (data) => {
      text += data;
    });
    socket.on('error', () => {}); // "close" follows
    socket.on('close', () => {
      signal.removeEventListener('abort', give);
      const answer = text.trim();
      if (answer === '') resolve({ kind: 'gone' });
      else resolve(answer === 'done' ? { kind: 'done' } : { kind: 'failed', reason: answer });
    });
  });
}

function socketPath(layout: NodeLayout): string {
  return join(layout.runDir, 'up.sock');
}

// Standard output that may be a pipe whose reader goes away.

import { once } from 'node:events';

/** Writes text and waits while the reader is slow. A reader that has gone ends the process without an error. */
export async function write(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain');
}

/** Ends the process quietly when standard output is closed (`weir observe | head`). */
export function endWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}

/** A signal that aborts on Ctrl-C and on SIGTERM. The second Ctrl-C ends the process at once. */
export function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort());
  return controller.signal;
}

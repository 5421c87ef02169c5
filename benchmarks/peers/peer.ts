// A way from a client to a server, to be measured.

import { execFile } from 'node:child_process';
import type { PeerName } from '../options.ts';
import type { Command } from '../shell.ts';

export interface Peer {
  readonly name: PeerName;
  /** Namespace (path) of the client. */
  readonly netns: string;
  /** Where the client finds it, and the same as "http://ADDRESS:PORT". */
  readonly address: string;
  readonly url: string;
  readonly version: string;
}

/** The first version number that a program prints about itself; nginx does so on stderr. */
export function programVersion([program, ...args]: Command): Promise<string> {
  return new Promise((resolve) => {
    execFile(program, args, (_, stdout, stderr) => resolve(/\d+(\.\d+)+/.exec(stdout + stderr)?.[0] ?? 'unknown'));
  });
}

// The agent's memory across restarts: which number stands for what. Kernel maps, conntrack and proxies outlive the
// agent and hold these numbers, so they must mean the same afterwards.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { err, ok, type Result } from '#common/result.ts';

const allocator = z.object({ next: z.number().int(), numbers: z.record(z.string(), z.number().int()) });
const schema = z.object({
  version: z.literal(1),
  identities: allocator,
  rulesets: allocator,
  cookies: allocator,
  backends: allocator,
  services: allocator,
  /** "namespace/name" -> its ClusterIPs. */
  clusterIps: z.record(z.string(), z.array(z.string())),
});

export type State = z.infer<typeof schema>;

/**
 * Reads the state file. A missing file is a first start (undefined). A file that cannot be understood is an error: to
 * go on with new numbers while the kernel holds old ones would give identities the rights of others.
 */
export function readState(path: string): Result<State | undefined, string> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return ok(undefined);
    return err(`Cannot read state "${path}": ${(cause as Error).message}`);
  }
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success
      ? ok(parsed.data)
      : err(`Cannot read state "${path}": ${z.prettifyError(parsed.error)}; take the node down to start afresh`);
  } catch (cause) {
    return err(`Cannot read state "${path}": ${(cause as Error).message}; take the node down to start afresh`);
  }
}

/**
 * Writes the state so that a reader finds either the old file or the new one, whole. It has to survive the agent, not the
 * machine (whose maps die with it), so nothing waits for a disk. Throws what the file system says.
 */
export function writeState(path: string, state: State): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.new`;
  writeFileSync(temporary, JSON.stringify(state), { mode: 0o600 });
  renameSync(temporary, path);
}

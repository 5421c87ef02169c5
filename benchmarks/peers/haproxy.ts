// HAProxy with one thread and the rule as ACLs.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HTTP_PORT } from '../origin.ts';
import { RULE } from '../rule.ts';
import { NODE_ADDRESS, SERVER_ADDRESS } from '../scene.ts';

/** Writes its configuration into `directory`; returns the command that runs it. */
export function haproxyCommand({
  directory,
  port,
}: {
  readonly directory: string;
  readonly port: number;
}): readonly [string, ...string[]] {
  const file = join(directory, 'haproxy.cfg');
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend front
  bind ${NODE_ADDRESS}:${port} backlog 4096
  http-request deny deny_status 403 unless { method ${RULE.method} } { path_reg ^${RULE.path}$ }
  default_backend origin
backend origin
  server origin ${SERVER_ADDRESS}:${HTTP_PORT}
`,
  );
  return ['haproxy', '-db', '-f', file];
}

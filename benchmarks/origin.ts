// The servers behind every peer: nginx for HTTP, iperf3 and sockperf for TCP.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPLY } from './rule.ts';

export const HTTP_PORT = 80;
/** The same server again, under a policy of its own. */
export const PROBE_PORT = 8080;
export const IPERF_PORT = 5201;
export const SOCKPERF_PORT = 11_111;

/** Parts of an nginx configuration that both the origin and the nginx peer use: one process, nothing logged. */
export function nginxMain(directory: string): string {
  return `
daemon off;
master_process off;
pid ${directory}/pid;
error_log stderr error;
events { worker_connections 8192; }`;
}

/** Paths that nginx would make elsewhere. */
export function nginxPaths(directory: string): string {
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return kinds.map((kind) => `  ${kind}_temp_path ${directory}/${kind};`).join('\n');
}

/** Writes the origin's configuration into `directory`; returns the command that runs it. */
export function originCommand(directory: string): readonly [string, ...string[]] {
  const file = join(directory, 'origin.conf');
  writeFileSync(
    file,
    `${nginxMain(directory)}
http {
${nginxPaths(directory)}
  access_log off;
  keepalive_requests 1000000000;
  server {
    listen ${HTTP_PORT} backlog=4096;
    listen ${PROBE_PORT};
    location / { return 200 "${REPLY}"; }
  }
}
`,
  );
  return ['nginx', '-p', directory, '-c', file];
}

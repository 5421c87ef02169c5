// What tests of a whole mesh share: a node with a unique name from objects given as data, and requests by real curl.

import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Mesh, startMesh } from '#cli/demo/mesh.ts';

/** For `skip`: such tests are left out at home and fail in continuous integration. */
export const needsRoot = process.getuid?.() === 0 ? false : 'needs root';

const PROGRAMS = join(import.meta.dirname, 'programs');
const MAIN = join(import.meta.dirname, '../cli/main.ts');
export const POLICY_FILE = 'policy.yaml';

/** A Kubernetes object. */
export type KubeObject = Readonly<Record<string, unknown>>;

/** Objects as the text of one file (JSON is YAML). */
export function yaml(objects: readonly KubeObject[]): string {
  return objects.map((object) => `${JSON.stringify(object)}\n`).join('---\n');
}

/** A pod with label app=NAME that runs a program of test/programs, or sleeps. */
export function pod(name: string, program: readonly string[] = []): KubeObject {
  const [file, ...args] = program;
  const command = file === undefined ? ['sleep', 'infinity'] : [process.execPath, join(PROGRAMS, file), ...args];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: { containers: [{ name: 'main', command }] },
  };
}

/** A Service NAME for pods with label app=NAME. */
export function service(name: string, ports: readonly number[]): KubeObject {
  const spec = {
    selector: { app: name },
    ports: ports.map((port) => ({ name: `port-${port}`, port })),
    ipFamilyPolicy: 'PreferDualStack',
  };
  return { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec };
}

/** A policy for pods with label app=APP. `directions`: its ingress and egress, as in the object. */
export function policy(name: string, app: string, directions: KubeObject): KubeObject {
  const spec = { endpointSelector: { matchLabels: { app } }, ...directions };
  return { apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name }, spec };
}

/** A peer list for `fromEndpoints` and `toEndpoints`. */
export function apps(...names: readonly string[]): readonly KubeObject[] {
  return names.map((app) => ({ matchLabels: { app } }));
}

/** `toPorts` for TCP ports, with HTTP rules if any are given. */
export function ports(numbers: readonly number[], http?: readonly KubeObject[]): readonly KubeObject[] {
  const rule = { ports: numbers.map((port) => ({ port: String(port), protocol: 'TCP' })) };
  return [http === undefined ? rule : { ...rule, rules: { http } }];
}

export interface TestMesh extends Mesh {
  readonly directory: string;
  /** Makes these policies, and no others, what is in force. */
  setPolicies(policies: readonly KubeObject[]): Promise<void>;
  /** Address of a pod. */
  address(pod: string, family: 4 | 6): Promise<string>;
}

/** A ready mesh of `objects` on a node of its own; disposing it removes node and folder. */
export async function startTestMesh(
  objects: readonly KubeObject[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly suffix?: string } = {},
): Promise<TestMesh> {
  const node = `t${process.pid}${options.suffix ?? ''}`;
  const directory = await mkdtemp(join(tmpdir(), `weir-${node}-`));
  await writeFile(join(directory, 'objects.yaml'), yaml(objects));
  const mesh = await startMesh({ node, directory, env: { WEIR_WORKERS: '2', ...options.env } }).catch(async (error) => {
    await rm(directory, { recursive: true });
    throw error;
  });
  let current: string | undefined;
  return {
    ...mesh,
    directory,
    async setPolicies(policies) {
      const text = policies.length === 0 ? undefined : yaml(policies);
      if (text !== current) await mesh.changePolicy(POLICY_FILE, text);
      current = text;
    },
    async address(name, family) {
      const row = (await mesh.list('pods')).find((candidate) => candidate.name === name);
      return String(family === 4 ? row?.ip : row?.ipv6);
    },
    async [Symbol.asyncDispose]() {
      await mesh[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** `host` may be an address of either family or a name. */
export interface CurlRequest {
  readonly from: string;
  readonly host: string;
  readonly port?: number;
  readonly method?: string;
  readonly path?: string;
  readonly arguments?: readonly string[];
  readonly seconds?: number;
}

export interface CurlAnswer {
  /** HTTP status; 'hangs' if nothing came, else 'curl N' with curl's exit code. */
  readonly outcome: number | string;
  readonly body: string;
}

const CURL_TIMED_OUT = 28;

/** A real curl inside a pod. */
export async function curl(mesh: Mesh, request: CurlRequest): Promise<CurlAnswer> {
  const host = request.host.includes(':') ? `[${request.host}]` : request.host;
  const url = `http://${host}:${request.port ?? 80}${request.path ?? '/'}`;
  const { code, stdout, stderr } = await mesh.exec(request.from, [
    'curl',
    '-sS',
    ...['--max-time', String(request.seconds ?? 10), '-w', '\n%{http_code}', '-X', request.method ?? 'GET'],
    ...(request.arguments ?? []),
    url,
  ]);
  if (code === CURL_TIMED_OUT) return { outcome: 'hangs', body: '' };
  if (code !== 0) return { outcome: `curl ${code}`, body: stderr };
  const newline = stdout.lastIndexOf('\n');
  return { outcome: Number(stdout.slice(newline + 1)), body: stdout.slice(0, newline) };
}

/** A program of test/programs inside a pod, whose lines are read as they come. */
export interface Running extends AsyncDisposable {
  readonly lines: Interface;
  /** Every line so far. */
  readonly seen: string[];
  /** Its end. */
  readonly ended: Promise<void>;
}

/** Starts a program in a pod by `weir exec`. */
export function startProgram(mesh: Mesh, from: string, program: readonly string[]): Running {
  const [file = '', ...args] = program;
  const command = [process.execPath, join(PROGRAMS, file), ...args];
  const child = spawn(process.execPath, [MAIN, 'exec', '--node', mesh.node, from, '--', ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const seen: string[] = [];
  lines.on('line', (line) => seen.push(line));
  const ended = new Promise<void>((resolve) => {
    child.on('close', () => resolve());
  });
  return {
    lines,
    seen,
    ended,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

const LINE_TIMEOUT_MS = 10_000;

/** Waits for the next line that is one of `wanted`; the lines between are what the old policy gave. */
export async function nextOf(running: Running, wanted: readonly string[], from = running.seen.length): Promise<string> {
  const deadline = performance.now() + LINE_TIMEOUT_MS;
  for (;;) {
    const found = running.seen.slice(from).find((line) => wanted.includes(line));
    if (found !== undefined) return found;
    if (performance.now() > deadline) {
      throw new Error(`Cannot see ${wanted.join(' or ')} within ${LINE_TIMEOUT_MS} ms: ${running.seen.slice(from)}`);
    }
    await sleep(20);
  }
}

/** A line of programs/load.ts; times in ms since 1970. */
export interface LoadRequest {
  readonly start: number;
  readonly end: number;
  readonly path: string;
  /** Status or error code. */
  readonly outcome: string;
}

/** Reads the lines of programs/load.ts. */
export function parseLoad(lines: readonly string[]): LoadRequest[] {
  return lines.map((line) => {
    const [start, end, path = '', outcome = ''] = line.split(' ');
    return { start: Number(start), end: Number(end), path, outcome };
  });
}

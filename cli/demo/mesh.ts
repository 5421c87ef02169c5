// A mesh of its own for the demo and the tests: `weir up` as a child process, and the CLI's other commands on it.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeStatus } from '#api/node.ts';
import type { Flow, FlowsRequest } from '#observe/flow/model.ts';
import { withNode } from '../client.ts';
import { CliError } from '../exit.ts';

const MAIN = join(import.meta.dirname, '../main.ts');
const POLL_MS = 50;
const READY_TIMEOUT_MS = 60_000;
const CHANGE_TIMEOUT_MS = 15_000;
const DOWN_TIMEOUT_MS = 30_000;
/** What `up` printed, kept for the case that it fails. */
const MAX_LOG_CHARACTERS = 64 * 1024;

export interface MeshOptions {
  readonly node: string;
  /** Folder of YAML; stays the caller's. */
  readonly directory: string;
  /** Options of the agent, as environment: WEIR_WORKERS, WEIR_ZIPKIN_URL, ... */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface CommandResult {
  /** Exit code; 128 + signal if a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Mesh extends AsyncDisposable {
  readonly node: string;
  /** The `weir up` process. */
  readonly up: ChildProcess;
  /** What `up` and its children printed last. */
  log(): string;
  status(): Promise<NodeStatus>;
  /** Rows of `weir get KIND`. */
  list(kind: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** Waits until `holds` says so; an error names `what` after `timeoutMs`. */
  until(what: string, holds: (status: NodeStatus) => boolean, timeoutMs?: number): Promise<NodeStatus>;
  /** Writes or (undefined) removes a file of the folder, and waits until the policy it changes is in force. */
  changePolicy(file: string, text: string | undefined): Promise<NodeStatus>;
  /** `weir exec POD -- COMMAND`. */
  exec(pod: string, command: readonly string[]): Promise<CommandResult>;
  /** Flows that are kept and match. */
  flows(request: FlowsRequest): Promise<readonly Flow[]>;
  /** Any other command of the CLI, on this node. */
  weir(args: readonly string[]): Promise<CommandResult>;
  /** Takes everything away, as Ctrl-C and then `weir down` do. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a node and waits until it is ready. Rejects with what `up` printed if it is not. */
export async function startMesh(options: MeshOptions): Promise<Mesh> {
  const { node, directory } = options;
  // Whoever kills this process leaves no mesh behind.
  const withParent = ['--pdeathsig', 'HUP', process.execPath];
  const up = spawn('setpriv', [...withParent, MAIN, 'up', '--node', node, directory], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    detached: true, // Ctrl-C is for this process, which then stops the mesh in its own time
  });
  let log = '';
  for (const stream of [up.stdout, up.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-MAX_LOG_CHARACTERS);
    });
  }
  const mesh = createMesh(options, { up, log: () => log });
  try {
    // The word of this very `up`: an agent that an earlier one left may answer first.
    await mesh.until(
      'the node is ready',
      ({ ready }) => ready && log.includes(`Node "${node}" is ready`),
      READY_TIMEOUT_MS,
    );
    return mesh;
  } catch (error) {
    await mesh[Symbol.asyncDispose]();
    throw new CliError(`Cannot start node "${node}": ${(error as Error).message}\n${log}`);
  }
}

function createMesh(options: MeshOptions, child: { readonly up: ChildProcess; readonly log: () => string }): Mesh {
  const { node, directory, signal } = options;
  const { up } = child;
  const weir = (args: readonly string[]): Promise<CommandResult> =>
    run(process.execPath, [MAIN, args[0] ?? '', '--node', node, ...args.slice(1)]);
  const status = (): Promise<NodeStatus> => withNode({ node }, (client) => client.status());
  const until: Mesh['until'] = async (what, holds, timeoutMs = CHANGE_TIMEOUT_MS) => {
    const deadline = performance.now() + timeoutMs;
    for (let last = 'it does not answer'; ; await sleep(POLL_MS, undefined, { signal })) {
      if (up.exitCode !== null || up.signalCode !== null) throw new Error(`Cannot wait until ${what}: "weir up" ended`);
      try {
        const now = await status();
        if (holds(now)) return now;
        last = now.message || `revision ${now.policyRevision}, ready ${now.ready}`;
      } catch (error) {
        last = (error as Error).message; // not yet there
      }
      if (performance.now() > deadline)
        throw new Error(`Cannot wait until ${what}: not after ${timeoutMs} ms (${last})`);
    }
  };
  return {
    node,
    up,
    log: child.log,
    status,
    until,
    weir,
    list: async (kind) => {
      const { rowsJson } = await withNode({ node }, (client) => client.list({ kind, namespace: '' }));
      return rowsJson.map((row) => JSON.parse(row) as Readonly<Record<string, unknown>>);
    },
    async changePolicy(file, text) {
      const before = (await status()).policyRevision;
      await (text === undefined ? rm(join(directory, file)) : writeFile(join(directory, file), text));
      return until(`${file} is in force`, (now) => now.ready && now.policyRevision > before);
    },
    exec: (pod, command) => weir(['exec', pod, '--', ...command]),
    flows: (request) => withNode({ node }, (client) => collectFlows(client.flows(request))),
    async [Symbol.asyncDispose]() {
      await stop(up);
      const down = await weir(['down']);
      if (down.code !== 0) throw new Error(`Cannot take node "${node}" down: ${down.stderr || down.stdout}`);
    },
  };
}

async function collectFlows(stream: AsyncIterable<{ readonly flow?: Flow }>): Promise<Flow[]> {
  const flows: Flow[] = [];
  for await (const { flow } of stream) if (flow) flows.push(flow);
  return flows;
}

async function stop(up: ChildProcess): Promise<void> {
  if (up.exitCode !== null || up.signalCode !== null) return;
  const ended = once(up, 'exit');
  up.kill('SIGINT');
  const late = AbortSignal.timeout(DOWN_TIMEOUT_MS);
  late.onabort = () => up.kill('SIGKILL');
  await ended;
  late.onabort = null;
}

/** Runs a command to its end. */
export async function run(command: string, args: readonly string[]): Promise<CommandResult> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const [code, signalName] = (await once(child, 'close')) as [number | null, string | null];
  return { code: code ?? 128, stdout, stderr: signalName === null ? stderr : `${stderr}(${signalName})` };
}

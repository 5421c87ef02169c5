// The node API over the scene of agent/flows, for the tests of this folder:
//
//   weir <command> --socket FOLDER/agent.sock ──gRPC──> serveAgentApi(scene tables, fixed providers)

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fakeProviders, XWING_HANDLE } from '#agent/api/providers.fixture.ts';
import type { NodeProviders } from '#agent/api/providers.ts';
import { serveAgentApi } from '#agent/api/server.ts';
import { createFlowPipeline, type FlowPipeline } from '#agent/flows/pipeline.ts';
import { accessRecord, DENIED, flowEvent, STEERED, sceneClock, sceneTables } from '#agent/flows/scene.fixture.ts';
import type { Tables } from '#agent/tables.ts';
import { type Run, weir } from './run.fixture.ts';

export interface SceneNode {
  readonly folder: string;
  readonly socket: string;
  /** Log of default/xwing. */
  readonly log: string;
  readonly tables: Tables;
  readonly pipeline: FlowPipeline;
  /** What the workers are, instead of attached. */
  workers: NodeProviders['workers'] | undefined;
  /** Runs `weir COMMAND --socket … ARGS`. */
  ask(command: string, ...args: string[]): Promise<Run>;
  close(): Promise<void>;
}

/** A node with eight flows: the tiefighter's connection, the xwing's refused one, a landing and a refused request. */
export async function sceneNode(): Promise<SceneNode> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-cli-'));
  const socket = join(folder, 'agent.sock');
  const log = join(folder, 'xwing.log');
  const tables = sceneTables();
  const pipeline = createFlowPipeline({ node: 'node0', tables, clock: sceneClock });
  const fixed = fakeProviders();
  const podHandle: NodeProviders['runtime']['podHandle'] = ({ name }) =>
    name === 'xwing' ? { ...XWING_HANDLE, logFile: log } : undefined;
  const providers = fakeProviders({
    workers: () => (node.workers ?? fixed.workers)(),
    runtime: { ...fixed.runtime, podHandle },
  });
  const options = { node: 'node0', version: '1.2.3', source: '/mesh', tables, providers };
  const api = await serveAgentApi({ ...options, socket, ring: pipeline.ring });
  pipeline.kernelEvent(flowEvent(STEERED));
  pipeline.kernelEvent(flowEvent(DENIED));
  const refused = {
    verdict: 'VERDICT_DENIED',
    method: 'PUT',
    path: '/v1/exhaust-port',
    status: 403,
    latencyNs: 0,
  } as const;
  pipeline.accessRecords([accessRecord({}), accessRecord(refused)], 0);
  writeFileSync(log, 'one\ntwo\nthree\n');
  const node: SceneNode = {
    folder,
    socket,
    log,
    tables,
    pipeline,
    workers: undefined,
    ask: (command, ...args) => weir(command, '--socket', socket, ...args),
    async close() {
      await api.close();
      pipeline.close();
      rmSync(folder, { recursive: true });
    },
  };
  return node;
}

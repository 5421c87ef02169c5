// `weir status`

import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { NodeStatus } from '#api/node.ts';
import { type NodeOptions, withNode, withNodeOptions } from '../client.ts';
import { parseDuration } from '../duration.ts';
import { CliError, EXIT } from '../exit.ts';
import { checkFormat } from '../formats.ts';
import { untilInterrupted, write } from '../output.ts';
import { renderTable } from '../table.ts';

const POLL_MS = 200;

interface StatusOptions extends NodeOptions {
  readonly wait: boolean;
  readonly objects: boolean;
  readonly waitDuration: string;
  readonly output: string;
}

/** Adds `status` to the CLI. */
export function registerStatus(program: Command): void {
  withNodeOptions(program.command('status'))
    .description('how the node is doing: components, workers, maps, and objects with problems')
    .option('--wait', 'wait until the node is ready', false)
    .option('--wait-duration <duration>', 'how long to wait at most', '5m')
    .option('--objects', 'every object: accepted or refused, and of a policy whom it selects', false)
    .option('-o, --output <format>', 'text or json', 'text')
    .addHelpText('after', '\nExit codes: 0 ready, 1 not ready, 2 wrong use, 3 not running.')
    .action(async (options: StatusOptions) => {
      const format = checkFormat(options.output, ['text', 'json']);
      const duration = parseDuration(options.waitDuration);
      if (!duration.ok) throw new CliError(duration.error, EXIT.usage);
      const status = await readStatus(options, options.wait ? duration.value : 0);
      await write(format === 'json' ? `${JSON.stringify(status, undefined, 2)}\n` : renderStatus(status, options));
      if (!status.ready) process.exitCode = EXIT.failed;
    });
}

/** The status, asked again until it is ready, `waitMs` have passed or the user ends it. */
async function readStatus(options: NodeOptions, waitMs: number): Promise<NodeStatus> {
  const deadline = Date.now() + waitMs;
  const signal = waitMs > 0 ? untilInterrupted() : new AbortController().signal;
  for (;;) {
    try {
      const status = await withNode(options, (node) => node.status());
      if (status.ready || Date.now() >= deadline || signal.aborted) return status;
    } catch (error) {
      const notRunning = error instanceof CliError && error.code === EXIT.notRunning;
      if (!notRunning || Date.now() >= deadline || signal.aborted) throw error;
    }
    await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** The status for people. `objects`: every object, not only those with something wrong. */
export function renderStatus(status: NodeStatus, options: { readonly objects: boolean }): string {
  const accepted = status.objects.filter((object) => object.accepted).length;
  const refused = status.objects.length - accepted;
  const head = [
    `Node:      ${status.node} (agent ${status.version}, pid ${status.pid})`,
    `Source:    ${status.source}`,
    `Objects:   ${accepted} in force${refused > 0 ? `, ${refused} refused` : ''}`,
    `Policy:    revision ${status.policyRevision}`,
    `Ready:     ${status.ready ? 'yes' : `no: ${status.message}`}`,
  ].join('\n');
  const parts = [`${head}\n`, section(['component', 'state', 'message'], status.components)];
  parts.push(section(['worker', 'state', 'pid', 'version', 'restarts'], workerRows(status)));
  parts.push(section(['map', 'entries', 'capacity', 'use', 'errors', 'lastError'], mapRows(status)));
  if (options.objects) {
    parts.push(section(['object', 'state', 'endpoints', 'revision', 'location'], objectRows(status)));
  }
  parts.push(section(['location', 'object', 'field', 'reason'], problemRows(status)));
  return parts.filter((part) => part !== '').join('\n');
}

function section(columns: readonly string[], rows: readonly object[]): string {
  const named = rows.map((row) => ('name' in row ? { ...row, [columns[0] as string]: row.name } : row));
  return rows.length === 0 ? '' : renderTable(columns, named as Record<string, string>[]);
}

function workerRows(status: NodeStatus): object[] {
  return status.workers.map((worker) => ({ ...worker, worker: worker.slot }));
}

function mapRows(status: NodeStatus): object[] {
  return status.maps.map((map) => ({
    ...map,
    use: map.capacity > 0 ? `${((100 * map.entries) / map.capacity).toFixed(1)} %` : '-',
  }));
}

function objectRows(status: NodeStatus): object[] {
  return status.objects.map(({ kind, namespace, name, file, line, accepted, endpoints, revision }) => {
    const isPolicy = kind.endsWith('NetworkPolicy');
    return {
      object: name === '' ? kind : `${kind} ${namespace}/${name}`,
      state: accepted ? 'accepted' : 'refused',
      endpoints: isPolicy ? endpoints : undefined,
      revision: isPolicy && revision > 0 ? revision : undefined,
      location: `${file}:${line}`,
    };
  });
}

function problemRows(status: NodeStatus): object[] {
  return status.objects.flatMap((object) => {
    const name = object.name === '' ? object.kind : `${object.kind} ${object.namespace}/${object.name}`;
    return object.problems.map((problem) => ({
      location: `${problem.file}:${problem.line}`,
      object: name,
      field: problem.field,
      reason: problem.warning ? `warning: ${problem.reason}` : problem.reason,
    }));
  });
}

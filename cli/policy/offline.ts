// Files as a node would run them, for commands that also work without one.

import { type Command, Option } from 'commander';
import type { EnforcementMode } from '#agent/explain/model.ts';
import type { World } from '#agent/explain/world.ts';
import { type NodeOptions, withNodeOptions } from '../client.ts';
import { CliError, EXIT } from '../exit.ts';
import { NODE_PEERS_ABOUT, readInput } from './validate.ts';

/** Options of commands that answer from a node or, with `file`, from files. */
export interface AnswerOptions extends NodeOptions {
  readonly file?: readonly string[];
  readonly enforcement: EnforcementMode;
  readonly nodePeers: boolean;
}

/** Adds the options of commands that answer from a node or from files. */
export function withOfflineOptions(command: Command): Command {
  const about = 'with --file: how the node that would have them enforces policy';
  const modes = new Option('--enforcement <mode>', about).choices(['default', 'always', 'never']).default('default');
  return withNodeOptions(command)
    .option('-f, --file <path>', 'ask files and folders instead of a node; may be repeated', collect)
    .addOption(modes)
    .option('--node-peers', `with --file: ${NODE_PEERS_ABOUT}`, false);
}

/** An option that may be given several times. */
export function collect(value: string, all: readonly string[] | undefined): readonly string[] {
  return [...(all ?? []), value];
}

/**
 * The world of the objects at `paths`. With a refused object in them there is no answer: without it, what is said of the
 * others could be wrong.
 */
export async function readWorld(
  paths: readonly string[],
  options: AnswerOptions,
  names: readonly string[] = [],
): Promise<World> {
  const [{ readAll }, { offlineWorld }] = await Promise.all([
    import('#agent/explain/read.ts'),
    import('#agent/explain/offline.ts'),
  ]);
  const { objects, problems } = readAll(await readInput(paths), options);
  const [first, ...more] = problems.filter((problem) => !problem.warning);
  if (first) {
    const others = more.length === 0 ? '' : `, and ${more.length} more`;
    throw new CliError(
      `Cannot compute policy: ${first.file}:${first.line} ${first.field} ${first.reason}${others} (see "weir policy validate")`,
    );
  }
  if (objects.length === 0) throw new CliError(`Cannot compute policy: no object in ${paths.join(', ')}`, EXIT.usage);
  const { node, enforcement } = options;
  return offlineWorld(objects, { names, node, enforcement });
}

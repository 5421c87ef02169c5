// `weir policy`: policies as people ask about them. Each subcommand is a file here; what decides is agent/explain.

import type { Command } from 'commander';
import { registerExplain } from './explain.ts';
import { registerPolicyGet } from './get.ts';
import { registerSuggest } from './suggest.ts';
import { registerValidate } from './validate.ts';
import { registerVerdicts } from './verdicts.ts';

/** Adds `policy` with its subcommands to the CLI. */
export function registerPolicy(program: Command): void {
  const policy = program.command('policy').description('check policies, and ask what they decide and why');
  registerValidate(policy);
  registerPolicyGet(policy);
  registerExplain(policy);
  registerVerdicts(policy);
  registerSuggest(policy);
}

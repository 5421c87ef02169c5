// All findings about this machine, in the order of the table.

import { dirname } from 'node:path';
import { bpfFindings } from './bpf.ts';
import type { Finding } from './finding.ts';
import { createBpfProbe } from './probe.ts';
import { kernelFindings, privilegeFindings, systemFindings } from './system.ts';
import { toolFindings } from './tools.ts';

/** Looks at everything. Changes nothing that outlives the call. */
export function checkMachine(): Finding[] {
  const options = { isRoot: process.getuid?.() === 0 };
  return [
    ...kernelFindings(),
    ...bpfFindings(createBpfProbe(), options),
    ...systemFindings(options),
    ...privilegeFindings(options),
    ...toolFindings(dirname(dirname(import.meta.dirname))),
  ];
}

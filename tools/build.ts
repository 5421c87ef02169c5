// Compiles what has to be compiled: the kernel programs, weir-cni and weir-run. ./weir calls it when a source is newer.

import { buildCni } from '#agent/cni/build.ts';
import { build } from '#bpf/build.ts';

try {
  await Promise.all([build(), buildCni()]);
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}

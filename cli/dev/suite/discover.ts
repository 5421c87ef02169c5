// Which files hold tests, and which of them must not run beside another.

export interface TestFile {
  readonly file: string;
  /** It measures time or puts load on the machine: runs alone. */
  readonly isExclusive: boolean;
}

/** Files by name. What others make on the machine (namespaces, cgroups, programs) has names of its own. */
const ALONE = /^benchmarks\/|\/(?:crash|faults|limits|load|observe|revocation|visibility)\.test\.ts$/;

/** Files that take minutes: begun first, so that nobody waits for them in the end. */
const LONG = /\/(?:backends|kernel-interleave|lifecycle)\.test\.ts$/;

/** Test files among `files` whose path holds `pattern`, those that may run side by side first. */
export function discoverTests(files: readonly string[], pattern = ''): TestFile[] {
  return files
    .filter((file) => file.endsWith('.test.ts') && file.includes(pattern))
    .map((file) => ({ file, isExclusive: ALONE.test(file) }))
    .sort((a, b) => rank(a) - rank(b) || (a.file < b.file ? -1 : 1));
}

function rank({ file, isExclusive }: TestFile): number {
  return isExclusive ? 2 : Number(!LONG.test(file));
}

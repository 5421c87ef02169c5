// The import rules: which folder may import which. One table; ARCHITECTURE.md shows the same one to people.

import { readFile } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import { dirname, join, posix } from 'node:path';
import type { Check } from './check.ts';

/** Folder -> what it may import: folders, or single files of a folder. A folder inside another has its own line instead. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  common: [],
  'mesh-config': ['common'],
  tracing: ['common'],
  api: ['common'],
  bpf: ['common'],
  agent: ['common', 'mesh-config', 'api', 'bpf', 'observe/flow'],
  proxy: ['common', 'mesh-config', 'api', 'tracing', 'bpf/abi.ts'],
  observe: ['common', 'api'],
  cli: [
    'common',
    'mesh-config',
    'api',
    'observe',
    'agent/layout.ts',
    'agent/options.ts',
    'agent/node',
    'agent/explain',
  ],
  'cli/dev/vectors': ['common', 'mesh-config', 'agent', 'bpf'],
};
/** These may import everything, and nothing imports them. */
const FREE = new Set(['benchmarks', 'test', 'tools']);

export interface ImportStatement {
  readonly line: number;
  readonly specifier: string;
}

const STATEMENT =
  /(?:^|[\n;])\s*(?:import|export)\s[^'";]*?\bfrom\s*['"]([^'"\n]+)['"]|(?:^|[\n;])\s*import\s*['"]([^'"\n]+)['"]|\bimport\(\s*['"]([^'"\n]+)['"]/g;

/** The import statements of a TypeScript file: static, re-exporting and dynamic ones with a literal name. */
export function importsOf(text: string): ImportStatement[] {
  const bare = text.replace(/^\s*\/\/.*$|^\s*\*.*$/gm, ''); // comment lines, kept as empty lines
  return [...bare.matchAll(STATEMENT)].map((match) => {
    const specifier = match[1] ?? match[2] ?? match[3] ?? '';
    const end = (match.index ?? 0) + match[0].length;
    return { specifier, line: bare.slice(0, end).split('\n').length };
  });
}

/** Why `file` may not import `specifier`; undefined: it may. `packages`: names in package.json. */
export function importProblem(file: string, specifier: string, packages: ReadonlySet<string>): string | undefined {
  const own = file.split('/')[0] ?? '';
  if (specifier.startsWith('.')) {
    const target = posix.join(dirname(file), specifier);
    if (FREE.has(own)) return extensionProblem(specifier);
    if (!target.startsWith(`${own}/`)) return `"${specifier}" leaves ${own}/: write "#folder/file.ts"`;
    return extensionProblem(specifier);
  }
  if (specifier.startsWith('#')) {
    const target = specifier.slice(1);
    const folder = target.split('/')[0] ?? '';
    if (FREE.has(own)) return extensionProblem(specifier);
    if (folder === own) return `"${specifier}" is in the same folder: write a relative path`;
    const allowed = allowedIn(file);
    if (
      allowed.some(
        (entry) =>
          target === entry ||
          target.startsWith(entry.endsWith('.ts') ? entry : `${entry}/`) ||
          (entry.includes('/') && target.startsWith(entry)),
      )
    ) {
      return extensionProblem(specifier);
    }
    return `"${specifier}": ${own}/ may import ${allowed.join(', ') || 'nothing'}`;
  }
  if (specifier.startsWith('node:')) return undefined;
  if (builtinModules.includes(specifier)) return `"${specifier}": write "node:${specifier}"`;
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
  return packages.has(name) ? undefined : `"${specifier}" is not a dependency in package.json`;
}

export const importRules: Check = {
  name: 'imports',
  async run({ top, files }) {
    const manifest = JSON.parse(await readFile(join(top, 'package.json'), 'utf8'));
    const direct = new Set(Object.keys(manifest.dependencies));
    const all = new Set([...direct, ...Object.keys(manifest.devDependencies)]);
    const problems: string[] = [];
    const used = new Set<string>();
    for (const file of files.filter((path) => path.endsWith('.ts'))) {
      const isProgram = !file.endsWith('.test.ts') && !FREE.has(file.split('/')[0] ?? '');
      for (const { specifier, line } of importsOf(await readFile(join(top, file), 'utf8'))) {
        used.add(specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/'));
        const problem = importProblem(file, specifier, isProgram ? direct : all);
        if (problem) problems.push(`${file}:${line}: ${problem}`);
      }
    }
    for (const name of direct) if (!used.has(name)) problems.push(`package.json: nothing imports "${name}"`);
    return { problems };
  },
};

/** The line of the innermost folder that has one. */
function allowedIn(file: string): readonly string[] {
  for (let folder = dirname(file); folder !== '.'; folder = dirname(folder)) {
    const allowed = MAY_IMPORT[folder];
    if (allowed) return allowed;
  }
  return [];
}

function extensionProblem(specifier: string): string | undefined {
  return /\.(ts|json)$/.test(specifier) ? undefined : `"${specifier}": write the file's extension`;
}

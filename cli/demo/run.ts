// `weir demo`: sets the scene up on a node of its own, plays it, and takes everything away.

import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { listLeftovers } from '#agent/node/teardown.ts';
import { CliError } from '../exit.ts';
import { layoutOf } from '../supervisor/up.ts';
import { type Mesh, startMesh } from './mesh.ts';
import { makeRequest } from './request.ts';
import { type DemoStep, describeOutcome, SCENE } from './scene.ts';
import { COLLECTOR_PORT, type Collector, startCollector, traceTree } from './spans.ts';

const OBJECTS = join(import.meta.dirname, 'objects');
const POLICIES = join(import.meta.dirname, 'policies');
const SERVER = join(import.meta.dirname, 'deathstar.ts');
/** The one policy file of the folder: steps replace it, as `kubectl apply` replaces an object of the same name. */
const POLICY_FILE = 'policy.yaml';
const FIRST_LOCAL_PORT = 41_000;
const SPAN_WAIT_MS = 10_000;
/** Both ends live on this node: a CLIENT and a SERVER span. */
const SPANS_PER_REQUEST = 2;

interface Stage {
  readonly mesh: Mesh;
  readonly collector: Collector;
  readonly print: (line: string) => void;
  nextPort: number;
}

/** Plays the scene. Returns whether every outcome was right and explained. */
export async function runDemo(options: {
  readonly node: string;
  readonly signal: AbortSignal;
  readonly print: (line: string) => void;
}): Promise<boolean> {
  const { node, signal, print } = options;
  refuseRunning(node);
  const begun = performance.now();
  const directory = await mkdtemp(join(tmpdir(), 'weir-demo-'));
  try {
    await writeObjects(directory);
    const env = { WEIR_ZIPKIN_URL: `http://127.0.0.1:${COLLECTOR_PORT}/api/v2/spans`, WEIR_SAMPLING: '1' };
    await using mesh = await startMesh({ node, directory, env, signal });
    print(`Node "${node}" is ready after ${seconds(begun)}: 2 × deathstar, tiefighter, xwing.`);
    await using collector = await startCollector(node);
    const stage: Stage = { mesh, collector, print, nextPort: FIRST_LOCAL_PORT };
    let wrong = 0;
    let policy: string | undefined;
    for (const step of SCENE) {
      signal.throwIfAborted();
      if (step.policy !== policy) await applyPolicy(mesh, step.policy);
      policy = step.policy;
      wrong += await playStep(stage, step);
    }
    print('');
    print(wrong === 0 ? `Every outcome is right. ${seconds(begun)}.` : `${wrong} wrong. ${seconds(begun)}.`);
    return wrong === 0;
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** The scene would put its pods in the place of those of a node that runs, and then take that node away. */
function refuseRunning(node: string): void {
  if (!listLeftovers(layoutOf(node)).some((line) => line.startsWith('process '))) return;
  throw new CliError(
    `Cannot play the scene on node "${node}": it runs already; take it down ("weir down --node ${node}") or name another`,
  );
}

async function writeObjects(directory: string): Promise<void> {
  for (const name of await readdir(OBJECTS)) {
    const text = await readFile(join(OBJECTS, name), 'utf8');
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholders of the files
    const filled = text.replaceAll('${NODE}', process.execPath).replaceAll('${SERVER}', SERVER);
    await writeFile(join(directory, name), filled);
  }
}

async function applyPolicy(mesh: Mesh, policy: string | undefined): Promise<void> {
  const text = policy === undefined ? undefined : await readFile(join(POLICIES, policy), 'utf8');
  await mesh.changePolicy(POLICY_FILE, text);
}

/** Returns how many outcomes of the step were wrong. */
async function playStep(stage: Stage, step: DemoStep): Promise<number> {
  const { print } = stage;
  print('');
  print(`${step.name}: ${step.about}`);
  let wrong = 0;
  for (const request of step.requests) {
    const traceId = randomBytes(16).toString('hex');
    const traceparent = step.isTraced ? `00-${traceId}-${randomBytes(8).toString('hex')}-01` : undefined;
    const expected = describeOutcome(request.expected);
    const options = { localPort: stage.nextPort++, traceparent, isTraced: step.isTraced, expected };
    const { actual, isRight, flows } = await makeRequest(stage.mesh, request, options);
    const what = `${request.from.padEnd(10)}  ${`${request.method} ${request.path}`.padEnd(29)}`;
    print(`  ${isRight ? 'ok  ' : 'FAIL'}  ${what}  expected: ${expected.padEnd(29)}  actual: ${actual}`);
    for (const line of flows) print(`          flow   ${line}`);
    const hasTrace = step.isTraced && request.expected.kind !== 'hangs';
    const spans = hasTrace ? await traceLines(stage.collector, traceId) : [];
    for (const [i, line] of spans.entries()) print(`          ${i === 0 ? 'trace' : '     '}  ${line}`);
    if (flows.length === 0) print('          no flow explains it');
    if (hasTrace && spans.length < SPANS_PER_REQUEST) print('          its trace is not whole');
    if (!isRight || flows.length === 0 || (hasTrace && spans.length < SPANS_PER_REQUEST)) wrong++;
  }
  return wrong + (await checkEnforcement(stage, step));
}

/** The ingress of the station is enforced in this step or not, and nothing else is. */
async function checkEnforcement({ mesh, print }: Stage, step: DemoStep): Promise<number> {
  const rows = await mesh.list('endpoints');
  const wrong = rows.filter((row) => {
    const isStation = String(row.pod).includes('deathstar');
    const ingress = isStation && step.isEnforced ? 'Enabled' : 'Disabled';
    return row.policyIngress !== ingress || row.policyEgress !== 'Disabled';
  });
  const expected = step.isEnforced ? 'ingress of both deathstars Enabled, all else Disabled' : 'all Disabled';
  print(`  ${wrong.length === 0 ? 'ok  ' : 'FAIL'}  endpoints   enforcement: ${expected}`);
  for (const row of wrong) print(`          ${JSON.stringify(row)}`);
  return wrong.length === 0 ? 0 : 1;
}

/** The trace as a tree, once both sides' spans have come; after a while, what there is. */
async function traceLines(collector: Collector, traceId: string): Promise<string[]> {
  const deadline = performance.now() + SPAN_WAIT_MS;
  while (collector.trace(traceId).length < SPANS_PER_REQUEST && performance.now() < deadline) await sleep(50);
  return traceTree(collector.trace(traceId));
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

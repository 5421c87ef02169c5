// One request of the scene: a real curl inside a workload, what came of it, and the flows that explain it.

import { setTimeout as sleep } from 'node:timers/promises';
import { EVENT, type Flow } from '#observe/flow/model.ts';
import { compactLine } from '#observe/flow/print.ts';
import type { CommandResult, Mesh } from './mesh.ts';
import type { DemoRequest, Outcome } from './scene.ts';

const HOST = 'deathstar.default.svc.cluster.local';
const HANG_SECONDS = 2;
const ANSWER_SECONDS = 10;
const CURL_TIMED_OUT = 28;
/** Flows reach the ring a moment after the packet or the request. */
const FLOW_WAIT_MS = 3_000;
const FLOW_POLL_MS = 50;
const PRINT = { output: 'compact', policyNames: false, nodeName: false, numeric: false } as const;

export interface RequestOptions {
  /** Port that curl comes from: it ties the flows to this request. */
  readonly localPort: number;
  /** `traceparent` header, if the request shall carry one. */
  readonly traceparent: string | undefined;
  /** The proxy sees this request. */
  readonly isTraced: boolean;
}

export interface RequestResult {
  readonly actual: string;
  readonly isRight: boolean;
  /** `weir observe` lines; none: nothing explains it. */
  readonly flows: readonly string[];
}

/** The arguments of curl. */
export function curlArguments(request: DemoRequest, options: RequestOptions): string[] {
  const seconds = request.expected.kind === 'hangs' ? HANG_SECONDS : ANSWER_SECONDS;
  const header = options.traceparent === undefined ? [] : ['-H', `traceparent: ${options.traceparent}`];
  const measure = ['--max-time', String(seconds), '--local-port', String(options.localPort), '-w', '\n%{http_code}'];
  return ['curl', '-s', ...measure, ...header, '-X', request.method, `http://${HOST}${request.path}`];
}

/** What came of it, in the words of describeOutcome. */
export function readOutcome({ code, stdout, stderr }: CommandResult): string {
  if (code === CURL_TIMED_OUT) return 'hangs';
  if (code !== 0) return `curl ended with ${code}${stderr === '' ? '' : `: ${stderr.trim()}`}`;
  const newline = stdout.lastIndexOf('\n');
  const firstLine = stdout.slice(0, newline).split(/\r?\n/)[0];
  return `${stdout.slice(newline + 1)} ${firstLine}`;
}

/** Makes the request and waits for the flows that explain its outcome. */
export async function makeRequest(
  mesh: Mesh,
  request: DemoRequest,
  options: RequestOptions & { readonly expected: string },
): Promise<RequestResult> {
  const actual = readOutcome(await mesh.exec(request.from, curlArguments(request, options)));
  const kind = request.expected.kind;
  const flows = await explainingFlows(mesh, options.localPort, (flow) => explains(flow, kind, options.isTraced));
  return {
    actual,
    isRight: actual === options.expected,
    flows: flows.map((flow) => compactLine(flow, PRINT).trimEnd()),
  };
}

/** Whether a flow says why a request came out as `kind`: the proxy's word if it saw the request, else the kernel's. */
export function explains(flow: Flow, kind: Outcome['kind'], isTraced: boolean): boolean {
  const { type } = flow.event_type;
  switch (kind) {
    case 'denied':
      return type === EVENT.accessLog;
    case 'hangs':
      return flow.verdict === 'DROPPED' && (type === EVENT.policyVerdict || type === EVENT.drop);
    case 'answer':
      if (isTraced) return type === EVENT.accessLog;
      return (type === EVENT.policyVerdict || type === EVENT.trace) && flow.verdict !== 'DROPPED' && !isReply(flow);
  }
}

function isReply(flow: Flow): boolean {
  return flow.is_reply?.value === true;
}

async function explainingFlows(mesh: Mesh, port: number, wanted: (flow: Flow) => boolean): Promise<readonly Flow[]> {
  const whitelist = [{ source_port: [String(port)] }, { destination_port: [String(port)] }];
  const deadline = performance.now() + FLOW_WAIT_MS;
  for (;;) {
    const flows = await mesh.flows({ whitelist });
    if (flows.some(wanted)) {
      // The kernel's verdict comes before the proxy's, and belongs to the story.
      return withoutRepeats(flows.filter((flow) => wanted(flow) || flow.event_type.type === EVENT.policyVerdict));
    }
    if (performance.now() > deadline) return [];
    await sleep(FLOW_POLL_MS);
  }
}

/** Retransmissions are denied and dropped again: the first of each is enough. */
function withoutRepeats(flows: readonly Flow[]): Flow[] {
  const seen = new Set<string>();
  return flows.filter((flow) => {
    const key = JSON.stringify([flow.event_type, flow.verdict, flow.Summary?.replace(/\d+ms/, ''), flow.is_reply]);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

// Calls CNI plugins as a container runtime does: environment, configuration on standard input, result on standard output.

import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { err, ok, type Result } from '#common/result.ts';
import { WEIR_CNI } from '../cni/build.ts';
import type { CniError } from '../cni/request.ts';
import { type CniResult, networkList } from '../cni/result.ts';
import type { NodeLayout } from '../layout.ts';

export interface Sandbox {
  readonly containerId: string;
  readonly netns: string;
  readonly namespace: string;
  readonly pod: string;
}

export const POD_IFNAME = 'eth0';
/** The plugin gives up by itself before that. */
const TIMEOUT_MS = 65_000;

/** Runs `command` for `sandbox` with the node's network list. `previous`: the result of ADD, for CHECK and DEL. */
export function callCni(
  layout: NodeLayout,
  command: 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION',
  about: { readonly sandbox?: Sandbox; readonly previous?: CniResult | undefined; readonly valid?: readonly Sandbox[] },
): Promise<Result<CniResult | undefined, CniError>> {
  const { cniVersion, name, plugins } = networkList(layout);
  const { sandbox, previous, valid } = about;
  const config = {
    ...{ cniVersion, name, ...plugins[0] },
    ...(previous ? { prevResult: previous } : {}),
    ...(valid
      ? { 'cni.dev/valid-attachments': valid.map((s) => ({ containerID: s.containerId, ifname: POD_IFNAME })) }
      : {}),
  };
  const environment = {
    PATH: process.env.PATH,
    CNI_COMMAND: command,
    CNI_PATH: dirname(WEIR_CNI),
    ...(sandbox && {
      CNI_CONTAINERID: sandbox.containerId,
      CNI_NETNS: sandbox.netns,
      CNI_IFNAME: POD_IFNAME,
      CNI_ARGS:
        `IgnoreUnknown=1;K8S_POD_NAMESPACE=${sandbox.namespace};K8S_POD_NAME=${sandbox.pod}` +
        `;K8S_POD_INFRA_CONTAINER_ID=${sandbox.containerId}`,
    }),
  };
  return execute(environment, JSON.stringify(config));
}

function execute(env: NodeJS.ProcessEnv, config: string): Promise<Result<CniResult | undefined, CniError>> {
  return new Promise((resolve) => {
    const child = spawn(WEIR_CNI, [], { env, stdio: ['pipe', 'pipe', 'ignore'], timeout: TIMEOUT_MS });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text; // the plugin itself bounds it
    });
    const broken = (details: string): void =>
      resolve(err({ code: 5, msg: `Cannot run "${WEIR_CNI}": ${details}`, details: output }));
    child.on('error', (error) => broken(error.message));
    child.on('close', (code, signal) => {
      try {
        const value = output.trim() === '' ? undefined : JSON.parse(output);
        if (code === 0) resolve(ok(value as CniResult | undefined));
        else if (value) resolve(err(value as CniError));
        else broken(`ended with ${code ?? signal}`);
      } catch {
        broken('its output is not JSON');
      }
    });
    child.stdin.on('error', () => {}); // it ended before reading: its exit code says why
    child.stdin.end(config);
  });
}

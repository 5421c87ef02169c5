// What weir-cni hands over: CNI's environment and network configuration, read and checked.

import { z } from 'zod';
import { err, ok, type Result } from '#common/result.ts';

/** Error codes of the CNI specification that are used here; 100 and above are Weir's own. */
export const CNI_CODE = {
  incompatibleVersion: 1,
  unknownContainer: 3,
  invalidEnvironment: 4,
  io: 5,
  decode: 6,
  invalidConfig: 7,
  tryAgain: 11,
  unavailable: 50,
  exhausted: 100,
  broken: 101,
} as const;

export interface CniError {
  readonly code: number;
  readonly msg: string;
  readonly details: string;
}

/** One interface of one container. */
export interface AttachmentId {
  readonly containerId: string;
  readonly ifname: string;
}

export interface AddRequest extends AttachmentId {
  readonly netns: string;
  readonly namespace: string;
  readonly pod: string;
  readonly mtu: number;
}

export type CniRequest = { readonly version: string } & (
  | ({ readonly command: 'ADD' } & AddRequest)
  | ({
      readonly command: 'CHECK';
      readonly netns: string;
      readonly addresses: readonly string[] | undefined;
    } & AttachmentId)
  | ({ readonly command: 'DEL' } & AttachmentId)
  | { readonly command: 'GC'; readonly valid: readonly AttachmentId[] }
  | { readonly command: 'STATUS' }
);

const VERSIONS = ['1.0.0', '1.1.0'];
const DEFAULT_MTU = 1500;

const configSchema = z.object({
  cniVersion: z.string(),
  name: z.string().optional(),
  mtu: z.int().min(1280).max(65_535).default(DEFAULT_MTU),
  prevResult: z.object({ ips: z.array(z.object({ address: z.string() })).default([]) }).optional(),
  'cni.dev/valid-attachments': z.array(z.object({ containerID: z.string(), ifname: z.string() })).optional(),
});

type Environment = ReadonlyMap<string, string>;

/** Reads one request (see weir-cni.c for the form). The error is the one to answer. */
export function parseRequest(bytes: Buffer): Result<CniRequest, CniError> {
  const end = bytes.indexOf('\0\0');
  if (end < 0) return problem(CNI_CODE.decode, 'Cannot read request: the environment has no end');
  const environment = new Map(
    bytes
      .toString('utf8', 0, end)
      .split('\0')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
  const config = parseConfig(bytes.toString('utf8', end + 2));
  if (!config.ok) return config;
  const { cniVersion: version } = config.value;
  if (!VERSIONS.includes(version)) {
    const msg = `Cannot use CNI version "${version}": supported are ${VERSIONS.join(' and ')}`;
    return problem(CNI_CODE.incompatibleVersion, msg);
  }
  const request = readCommand(environment, config.value);
  return request.ok ? ok({ version, ...request.value }) : request;
}

type WithoutVersion<T> = T extends unknown ? Omit<T, 'version'> : never;

function readCommand(
  environment: Environment,
  config: z.infer<typeof configSchema>,
): Result<WithoutVersion<CniRequest>, CniError> {
  const command = environment.get('CNI_COMMAND') ?? '';
  if (command === 'STATUS') return ok({ command });
  if (command === 'GC') {
    const valid = config['cni.dev/valid-attachments'];
    if (!valid)
      return problem(CNI_CODE.invalidConfig, 'Cannot collect garbage: "cni.dev/valid-attachments" is not set');
    return ok({ command, valid: valid.map(({ containerID, ifname }) => ({ containerId: containerID, ifname })) });
  }
  if (command !== 'ADD' && command !== 'DEL' && command !== 'CHECK') {
    return problem(CNI_CODE.invalidEnvironment, `Cannot run CNI_COMMAND "${command}": unknown`);
  }
  const containerId = environment.get('CNI_CONTAINERID') ?? '';
  const ifname = environment.get('CNI_IFNAME') ?? '';
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,255}$/.test(containerId)) return invalid('CNI_CONTAINERID', containerId);
  if (!/^[^\s/:"'\\]{1,15}$/.test(ifname) || ifname === '.' || ifname === '..') return invalid('CNI_IFNAME', ifname);
  if (command === 'DEL') return ok({ command, containerId, ifname });
  const netns = environment.get('CNI_NETNS') ?? '';
  if (!/^\/[^\s"'\\]{1,4095}$/.test(netns)) return invalid('CNI_NETNS', netns);
  if (command === 'CHECK') {
    const addresses = config.prevResult?.ips.map(({ address }) => address);
    return ok({ command, containerId, ifname, netns, addresses });
  }
  const args = new Map(
    (environment.get('CNI_ARGS') ?? '').split(';').map((pair) => [pair.split('=')[0], pair.split('=')[1] ?? '']),
  );
  const namespace = args.get('K8S_POD_NAMESPACE') ?? '';
  const pod = args.get('K8S_POD_NAME') ?? '';
  if (!namespace || !pod) return invalid('CNI_ARGS', environment.get('CNI_ARGS') ?? '');
  return ok({ command, containerId, ifname, netns, namespace, pod, mtu: config.mtu });
}

function parseConfig(text: string): Result<z.infer<typeof configSchema>, CniError> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return problem(CNI_CODE.decode, 'Cannot read the network configuration: not JSON', (cause as Error).message);
  }
  const parsed = configSchema.safeParse(value);
  if (parsed.success) return ok(parsed.data);
  const msg = 'Cannot use the network configuration: it has invalid fields';
  return problem(CNI_CODE.invalidConfig, msg, z.prettifyError(parsed.error));
}

function invalid(name: string, value: string): Result<never, CniError> {
  return problem(CNI_CODE.invalidEnvironment, `Cannot use ${name} "${value}": missing or malformed`);
}

function problem(code: number, msg: string, details = ''): Result<never, CniError> {
  return err({ code, msg, details });
}

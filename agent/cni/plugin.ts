// What CNI's commands do: join a pod's namespace to the node, check it, take it away.

import { type Ifindex, ifindex } from '#common/ids.ts';
import { formatAddress } from '#common/ip.ts';
import type { Logger } from '#common/log.ts';
import { err, ok, type Result, unreachable } from '#common/result.ts';
import type { NodeLayout } from '../layout.ts';
import { isNetns } from '../node/netns.ts';
import type { EndpointRow, Tables } from '../tables.ts';
import {
  type Attachment,
  type AttachmentStore,
  describePod,
  deviceName,
  endpointRow,
  openAttachments,
  planAttachment,
} from './attachments.ts';
import { createIpam, type Ipam } from './ipam.ts';
import { configureLink, createLink, deleteLink, listLinks, verifyLink } from './link.ts';
import { type AddRequest, type AttachmentId, CNI_CODE, type CniError, type CniRequest } from './request.ts';
import { addResult } from './result.ts';

/** What the agent does about an interface besides making it. */
export interface CniHooks {
  /** Attaches the kernel programs to the node's end, before it is up; attached already is fine. Throws if it cannot. */
  attach(ifname: string, index: Ifindex): void | Promise<void>;
  /** Removes what attach() left, after the interface has gone. */
  detach(ifname: string, index: Ifindex): void | Promise<void>;
  /** Resolves once the kernel holds the endpoint's policy; rejects if it will not. */
  ready(endpoint: EndpointRow, signal: AbortSignal): Promise<void>;
  /** Why ADD would fail at the moment; undefined: it would not. */
  unavailable(): string | undefined;
}

export interface CniPlugin {
  /** Takes over the attachments of an earlier agent that are still real, and removes the rest. Once, before handle(). */
  adopt(): Promise<void>;
  handle(request: CniRequest): Promise<Result<unknown, CniError>>;
  /** Writes whether a pod ("namespace/name") may serve to its endpoint row. Unknown pods are ignored. */
  setReady(pod: string, ready: boolean): void;
  /** Ends the subscription to tables.inputs.pods. */
  close(): void;
}

interface Context {
  readonly layout: NodeLayout;
  readonly tables: Tables;
  readonly hooks: CniHooks;
  readonly log: Logger;
  readonly store: AttachmentStore;
  readonly ipam: Ipam;
}

/** How long an ADD may wait for its policy. */
const READY_TIMEOUT_MS = 10_000;

/** The plugin's state comes from layout.stateDir, which must exist. */
export function createCniPlugin(options: Pick<Context, 'layout' | 'tables' | 'hooks' | 'log'>): CniPlugin {
  const { layout, tables } = options;
  const context: Context = {
    ...options,
    store: openAttachments(layout.stateDir),
    ipam: createIpam(layout.addresses, layout.stateDir),
  };
  const inTurn = createTurns();
  const unsubscribe = tables.inputs.pods.subscribe(({ key, after }) => {
    const attachment = findByPod(context, key);
    if (after && attachment) publish(context, { ...attachment, about: describePod(after) });
  });
  return {
    adopt: () => adopt(context),
    handle: (request) => handle(context, request, inTurn),
    setReady(pod, ready) {
      const attachment = findByPod(context, pod);
      if (attachment && attachment.ready !== ready) publish(context, { ...attachment, ready });
    },
    close: unsubscribe,
  };
}

async function handle(
  context: Context,
  request: CniRequest,
  inTurn: ReturnType<typeof createTurns>,
): Promise<Result<unknown, CniError>> {
  try {
    switch (request.command) {
      case 'ADD':
        return await inTurn(deviceName(request), () => add(context, request, request.version));
      case 'DEL':
        return await inTurn(deviceName(request), () => remove(context, request));
      case 'CHECK':
        return await inTurn(deviceName(request), () => check(context, request));
      case 'GC': {
        const valid = new Set(request.valid.map(deviceName));
        for (const attachment of context.store.values().filter((a) => !valid.has(a.device))) {
          await inTurn(attachment.device, () => remove(context, attachment));
        }
        return ok(undefined);
      }
      case 'STATUS': {
        const reason = context.hooks.unavailable();
        return reason === undefined ? ok(undefined) : problem(CNI_CODE.unavailable, reason);
      }
      default:
        return unreachable(request);
    }
  } catch (error) {
    context.log.error({ command: request.command, error: (error as Error).message }, 'CNI command failed');
    return problem(CNI_CODE.io, (error as Error).message);
  }
}

async function add(context: Context, request: AddRequest, version: string): Promise<Result<unknown, CniError>> {
  const { layout, tables, store, ipam } = context;
  const key = `${request.namespace}/${request.pod}`;
  const row = tables.inputs.pods.get(key);
  if (!row) return problem(CNI_CODE.tryAgain, `Cannot join pod "${key}": no such pod is known (yet)`);
  if (!isNetns(request.netns)) {
    return problem(CNI_CODE.invalidEnvironment, `Cannot join "${request.netns}": not a network namespace`);
  }
  const before = findByPod(context, key) ?? store.get(request);
  if (before?.complete) {
    const msg = `Cannot join pod "${key}": container ${before.containerId} is joined already, and must be deleted first`;
    return problem(CNI_CODE.tryAgain, msg);
  }
  if (before) await remove(context, before);
  const offset = ipam.allocate();
  if (!offset.ok) return problem(CNI_CODE.exhausted, offset.error);
  const { ip4, ip6 } = ipam.addressesOf(offset.value);
  const place = { offset: offset.value, ip4: formatAddress(ip4), ip6: formatAddress(ip6) };
  const planned = planAttachment(request, place, row);
  store.set(planned);
  try {
    const done = await make(context, planned);
    return ok(addResult(layout, done, version));
  } catch (error) {
    await remove(context, planned);
    throw error;
  }
}

async function make(context: Context, planned: Attachment): Promise<Attachment> {
  const { layout, hooks } = context;
  const index = await createLink(layout, planned);
  const attachment = { ...planned, ifindex: index };
  context.store.set(attachment);
  await hooks.attach(attachment.device, index);
  publish(context, attachment); // policy is computed while the interface is made ready
  const endpoint = endpointRow(attachment);
  await Promise.all([configureLink(layout, attachment), hooks.ready(endpoint, AbortSignal.timeout(READY_TIMEOUT_MS))]);
  const latest = context.store.get(attachment) ?? attachment;
  const done = { ...latest, complete: true };
  context.store.set(done);
  return done;
}

async function remove(context: Context, id: AttachmentId): Promise<Result<unknown, CniError>> {
  const { layout, tables, store, ipam, hooks } = context;
  const attachment = store.get(id);
  // Also without a record: an interface that a lost record left behind must not stay.
  await deleteLink(layout, deviceName(id));
  if (!attachment) return ok(undefined);
  if (attachment.ifindex > 0) await hooks.detach(attachment.device, ifindex(attachment.ifindex));
  const key = `${attachment.namespace}/${attachment.pod}`;
  if (tables.inputs.endpoints.get(key)?.device?.containerId === attachment.containerId) {
    tables.inputs.endpoints.delete(key);
  }
  store.delete(attachment);
  ipam.release(attachment.offset);
  return ok(undefined);
}

async function check(
  context: Context,
  request: Extract<CniRequest, { command: 'CHECK' }>,
): Promise<Result<unknown, CniError>> {
  const attachment = context.store.get(request);
  if (!attachment?.complete) {
    return problem(CNI_CODE.unknownContainer, `Cannot check container "${request.containerId}": it is not joined`);
  }
  const own = [`${attachment.ip4}/32`, `${attachment.ip6}/128`];
  const wrong = [
    ...(request.netns === attachment.netns ? [] : [`the namespace was ${attachment.netns}`]),
    ...(request.addresses ?? []).filter((a) => !own.includes(a)).map((a) => `${a} is not this container's address`),
    ...(isNetns(request.netns) ? await verifyLink(context.layout, attachment) : ['the namespace is gone']),
  ];
  if (wrong.length === 0) return ok(undefined);
  return problem(CNI_CODE.broken, `Cannot confirm container "${request.containerId}": ${wrong[0]}`, wrong.join('; '));
}

async function adopt(context: Context): Promise<void> {
  const { layout, store, ipam, hooks, log } = context;
  const links = await listLinks(layout);
  for (const attachment of store.values()) {
    const isReal = attachment.complete && links.get(attachment.device) === attachment.ifindex;
    const pod = `${attachment.namespace}/${attachment.pod}`;
    ipam.adopt(attachment.offset);
    if (isReal && isNetns(attachment.netns)) {
      await hooks.attach(attachment.device, ifindex(attachment.ifindex));
      const row = context.tables.inputs.pods.get(pod);
      publish(context, row ? { ...attachment, about: describePod(row) } : attachment);
    } else {
      log.warn({ pod }, 'attachment is no longer real: removed');
      await remove(context, attachment);
    }
  }
  const known = new Set(store.values().map(({ device }) => device));
  const strays = [...links.keys()].filter((device) => device.startsWith('lxc') && !known.has(device));
  for (const device of strays) await deleteLink(layout, device);
}

function publish(context: Context, attachment: Attachment): void {
  context.store.set(attachment);
  if (attachment.ifindex === 0) return;
  context.tables.inputs.endpoints.set(`${attachment.namespace}/${attachment.pod}`, endpointRow(attachment));
}

function findByPod(context: Context, pod: string): Attachment | undefined {
  return context.store.values().find((attachment) => `${attachment.namespace}/${attachment.pod}` === pod);
}

function problem(code: number, msg: string, details = ''): Result<never, CniError> {
  return err({ code, msg, details });
}

/** Runs what has the same name one after the other. */
function createTurns(): <T>(name: string, run: () => Promise<T>) => Promise<T> {
  const last = new Map<string, Promise<unknown>>();
  return async (name, run) => {
    const turn = (last.get(name) ?? Promise.resolve()).catch(() => {}).then(run);
    last.set(name, turn);
    try {
      return await turn;
    } finally {
      if (last.get(name) === turn) last.delete(name);
    }
  };
}

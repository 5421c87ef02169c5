// Attachments: what CNI ADD made, one state file each, so that an agent restart finds them again.

import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { endpointId, ifindex } from '#common/ids.ts';
import { address } from '#common/ip.ts';
import { readState, removeState, writeState } from '../node/state-file.ts';
import type { EndpointRow, PodRow } from '../tables.ts';
import type { AddRequest, AttachmentId } from './request.ts';

/** Everything about a joined interface that its state file holds. */
export interface Attachment extends AttachmentId {
  readonly netns: string;
  readonly namespace: string;
  readonly pod: string;
  /** Name of the node's end. */
  readonly device: string;
  /** Of the node's end; 0 until it exists. */
  readonly ifindex: number;
  readonly podMac: string;
  readonly hostMac: string;
  readonly mtu: number;
  /** Offset into the pod prefixes, and endpoint id. */
  readonly offset: number;
  readonly ip4: string;
  readonly ip6: string;
  /** ADD has answered. A record without it is what a crash left. */
  readonly complete: boolean;
  /** As in EndpointRow, so that a restart does not take a running pod out of its services. */
  readonly ready: boolean;
  /** What the pod said of itself when last seen. */
  readonly about: Pick<EndpointRow, 'labels' | 'workload' | 'serviceAccount' | 'namedPorts' | 'audit'>;
}

export interface AttachmentStore {
  get(id: AttachmentId): Attachment | undefined;
  values(): readonly Attachment[];
  set(attachment: Attachment): void;
  delete(id: AttachmentId): void;
}

/** The attachments in `stateDir`/cni, read once; unreadable files are left out and removed. */
export function openAttachments(stateDir: string): AttachmentStore {
  const dir = join(stateDir, 'cni');
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const all = new Map<string, Attachment>();
  for (const name of readdirSync(dir)) {
    const attachment = readState<Attachment>(join(dir, name));
    if (attachment && name === fileName(attachment)) all.set(name, attachment);
    else removeState(join(dir, name));
  }
  return {
    get: (id) => all.get(fileName(id)),
    values: () => [...all.values()],
    set(attachment) {
      const name = fileName(attachment);
      writeState(join(dir, name), attachment);
      all.set(name, attachment);
    },
    delete(id) {
      removeState(join(dir, fileName(id)));
      all.delete(fileName(id));
    },
  };
}

/** The node's end of an attachment: short enough for a device name, the same whenever it is asked for. */
export function deviceName(id: AttachmentId): string {
  return `lxc${hashOf(id).slice(0, 12)}`;
}

/** A new attachment of `row` at `offset` with fresh MAC addresses. */
export function planAttachment(
  request: AddRequest,
  place: { offset: number; ip4: string; ip6: string },
  row: PodRow,
): Attachment {
  const { containerId, ifname, netns, namespace, pod, mtu } = request;
  return {
    ...{ containerId, ifname, netns, namespace, pod, mtu, ...place },
    device: deviceName(request),
    ifindex: 0,
    podMac: randomMac(),
    hostMac: randomMac(),
    complete: false,
    ready: false,
    about: describePod(row),
  };
}

/** What an endpoint takes over from its pod. */
export function describePod({ object, workload }: PodRow): Attachment['about'] {
  return {
    labels: object.labels,
    workload,
    serviceAccount: object.spec.serviceAccount,
    audit: object.audit,
    namedPorts: object.spec.containers.flatMap(({ ports }) => ports.filter(({ name }) => name !== '')),
  };
}

/** The row of tables.inputs.endpoints. */
export function endpointRow(attachment: Attachment): EndpointRow {
  const { namespace, pod, podMac, hostMac, netns, containerId, ready } = attachment;
  return {
    ...{ namespace, pod, ready, ...attachment.about },
    ip4: address(attachment.ip4),
    ip6: address(attachment.ip6),
    id: endpointId(attachment.offset),
    device: {
      ...{ podMac, hostMac, netns, containerId },
      ifindex: ifindex(attachment.ifindex),
      name: attachment.device,
    },
  };
}

function fileName(id: AttachmentId): string {
  return `${hashOf(id)}.json`;
}

function hashOf({ containerId, ifname }: AttachmentId): string {
  return createHash('sha256').update(`${containerId} ${ifname}`).digest('hex').slice(0, 32);
}

/** Locally administered, not multicast. */
function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 2;
  return bytes.toString('hex').replace(/..(?!$)/g, '$&:');
}

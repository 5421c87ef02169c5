// One change after the other, of every kind, and how long each takes from the table to the last map write.

import { setTimeout as sleep } from 'node:timers/promises';
import type { EndpointRow } from '#agent/tables.ts';
import { objectKey, type PolicyObject } from '#mesh-config/model.ts';
import { readObjects } from '#mesh-config/read.ts';
import type { SimulatedAgent } from './agent.ts';
import type { Variant } from './cluster-policies.ts';
import { policyFiles } from './policies.ts';
import { createRandom, type Random } from './random.ts';
import { type ClusterSize, LOCAL_PODS, localPod, remoteKey, remotePod, type Workload } from './world.ts';

/** Between changes, in ms: what an update leaves for later is over by then. */
const PAUSE_MS = 10;

export const CHANGE_KINDS = [
  'policy added',
  'policy changed',
  'policy removed',
  'pod here added',
  'pod here relabelled',
  'pod here removed',
  'pod elsewhere added',
  'pod elsewhere relabelled',
  'pod elsewhere removed',
] as const;
export type ChangeKind = (typeof CHANGE_KINDS)[number];

export interface Sample {
  /** The object that was changed. */
  readonly what: string;
  readonly ms: number;
  /** Entries of kernel maps that were written or deleted. */
  readonly writes: number;
}

export type Samples = Readonly<Record<ChangeKind, readonly Sample[]>>;

/** Makes a change and waits until it is in force. */
type Measure = (kind: ChangeKind, what: string, change: () => void) => Promise<void>;

/** Makes `count` changes of each kind, the kinds in turn. Throws if one is not wholly in force when it should be. */
export async function measureChanges(
  agent: SimulatedAgent,
  world: { readonly workloads: readonly Workload[]; readonly size: ClusterSize },
  count: number,
): Promise<Samples> {
  const random = createRandom(count);
  const samples = Object.fromEntries(CHANGE_KINDS.map((kind) => [kind, [] as Sample[]])) as Record<
    ChangeKind,
    Sample[]
  >;
  const writes = (): number => agent.sync.maps().reduce((sum, { updates, deletes }) => sum + updates + deletes, 0);
  const measure: Measure = async (kind, what, change) => {
    const before = writes();
    const begun = performance.now();
    change();
    const { complete } = await agent.reconciler.settled();
    const ms = performance.now() - begun;
    if (!complete) throw new Error(`Cannot measure: ${kind} (${what}) is not wholly in force`);
    samples[kind].push({ what, ms, writes: writes() - before });
    await sleep(PAUSE_MS);
  };
  const steps = [policySteps(agent, random), podSteps(agent, world, random), remotePodSteps(agent, world, random)];
  for (let round = 0; round < count; round++) for (const step of steps) await step(measure, round);
  return samples;
}

type Steps = (measure: Measure, round: number) => Promise<void>;

/** A policy is changed, removed, and added as it was: those that select something here, for the others cost nothing. */
function policySteps({ tables, compute }: SimulatedAgent, random: Random): Steps {
  const { policies } = tables.inputs;
  const keys = [...policies.entries()].map(([key]) => key).filter((key) => compute.selectedBy(key) > 0);
  const others = readPolicies(1);
  return async (measure) => {
    const key = random.pick(keys);
    const [own, other] = [policies.get(key), others.get(key)];
    if (!own || !other) throw new Error(`Cannot change policy "${key}": there is none`);
    await measure('policy changed', key, () => policies.set(key, other));
    await measure('policy removed', key, () => policies.delete(key));
    await measure('policy added', key, () => policies.set(key, own));
  };
}

/** A pod of this node gets labels that nobody had before, ends, and comes back as it was with another interface. */
function podSteps(
  { tables }: SimulatedAgent,
  world: { readonly workloads: readonly Workload[] },
  random: Random,
): Steps {
  const { endpoints } = tables.inputs;
  return async (measure, round) => {
    const row = localPod(world.workloads, random.next(LOCAL_PODS));
    const key = `${row.namespace}/${row.pod}`;
    const labels = { ...row.labels, version: `v2-${round}` };
    await measure('pod here relabelled', key, () => endpoints.set(key, { ...row, labels }));
    await measure('pod here removed', key, () => endpoints.delete(key));
    await measure('pod here added', key, () => endpoints.set(key, fresh(row, round)));
  };
}

function fresh(row: EndpointRow, round: number): EndpointRow {
  if (!row.device) return row;
  const containerId = `${row.pod}-again-${round}`;
  return { ...row, device: { ...row.device, containerId } };
}

/** The same with a pod of another node. */
function remotePodSteps(
  { tables }: SimulatedAgent,
  { workloads, size }: { readonly workloads: readonly Workload[]; readonly size: ClusterSize },
  random: Random,
): Steps {
  const { remotePods } = tables.inputs;
  return async (measure, round) => {
    const index = random.next(size.pods - LOCAL_PODS);
    const row = remotePod(workloads, size, index);
    const key = remoteKey(row, index);
    const labels = { ...row.labels, version: `v3-${round}` };
    await measure('pod elsewhere relabelled', key, () => remotePods.set(key, { ...row, labels }));
    await measure('pod elsewhere removed', key, () => remotePods.delete(key));
    await measure('pod elsewhere added', key, () => remotePods.set(key, row));
  };
}

function readPolicies(variant: Variant): ReadonlyMap<string, PolicyObject> {
  const objects = policyFiles(variant).flatMap(({ text }) => readObjects('change.yaml', text).objects);
  return new Map(objects.flatMap((object) => ('rules' in object ? [[objectKey(object), object] as const] : [])));
}

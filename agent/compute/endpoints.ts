// Pods of this node and of others -> identities, addresses, enforcement.

import { ADDR_MANAGED, ADDR_NODE } from '#bpf/abi.ts';
import type { Identity } from '#common/ids.ts';
import type { LabelFilter } from '../identity/label-filter.ts';
import type { PolicyCompute } from '../policy/compute.ts';
import type { Enforcement } from '../policy/subject.ts';
import type { Desired, EndpointRow, EnforcementRow, Inputs } from '../tables.ts';
import type { Addresses } from './addresses.ts';
import type { Hold, Identities } from './identities.ts';
import { createPods, type Pods } from './pods.ts';
import type { EnforcementMode } from './settings.ts';

export interface EndpointCompute {
  readonly local: Pick<Pods, 'touch'>;
  readonly remote: Pick<Pods, 'touch'>;
  /** The labels of a namespace have changed. */
  touchNamespace(namespace: string): void;
  recompute(): void;
  /** Writes enforcement rows of endpoints with these identities. */
  enforce(identities: ReadonlySet<Identity>): void;
  identityOf(key: string): Identity | undefined;
  endpointsOf(identity: Identity): number;
  problems(): readonly { readonly pod: string; readonly reason: string }[];
}

/** Endpoint compute that writes into `desired` and tells `policy` of identities. */
export function createEndpointCompute(
  inputs: Pick<Inputs, 'endpoints' | 'remotePods' | 'namespaces'>,
  desired: Pick<Desired, 'enforcement' | 'endpoints'>,
  parts: {
    readonly policy: Pick<PolicyCompute, 'enforced'>;
    readonly identities: Identities;
    readonly addresses: Addresses;
    readonly filter: LabelFilter;
    readonly mode: EnforcementMode;
    /** Audit mode of every endpoint. */
    readonly audit: boolean;
  },
): EndpointCompute {
  const { policy, mode } = parts;
  const byIdentity = new Map<Identity, Set<string>>();
  const isLocalPod = (row: EndpointRow): boolean => row.device !== undefined;
  const local = createPods<EndpointRow>({
    ...parts,
    rank: 'pod',
    rows: inputs.endpoints,
    namespaces: inputs.namespaces,
    subject: (row) => (isLocalPod(row) ? enforcementOf(mode, row.init ?? false) : undefined),
    isInit: (row) => row.init ?? false,
    flags: (row) => (isLocalPod(row) ? ADDR_MANAGED : ADDR_NODE),
    onIdentity: (key, before, after) => follow(byIdentity, key, before, after),
  });
  const remote = createPods({
    ...parts,
    rank: 'remote pod',
    rows: inputs.remotePods,
    namespaces: inputs.namespaces,
    subject: () => undefined,
    isInit: () => false,
    flags: () => 0,
  });
  const admit = (key: string): void => {
    const endpoint = inputs.endpoints.get(key);
    const hold = local.get(key)?.hold;
    if (!endpoint || !hold || hold.problem) desired.endpoints.delete(key);
    else desired.endpoints.set(key, { endpoint, identity: hold.identity });
  };
  const writeEnforcement = (key: string): void => {
    const hold = local.get(key)?.hold;
    if (!hold?.isSubject) {
      desired.enforcement.delete(key);
      return;
    }
    const { identity } = hold;
    const { ingress, egress } = policy.enforced(identity);
    const before = desired.enforcement.get(key);
    const audit = parts.audit || inputs.endpoints.get(key)?.audit === true;
    const after: EnforcementRow = { endpoint: key, identity, ingress, egress, audit };
    if (before && sameEnforcement(before, after)) return;
    desired.enforcement.set(key, after);
  };
  return {
    local,
    remote,
    touchNamespace(namespace) {
      local.touchNamespace(namespace);
      remote.touchNamespace(namespace);
    },
    recompute() {
      const changed = [local.recompute(), remote.recompute()];
      for (const { release } of changed) release();
      for (const key of changed[0]?.keys ?? []) {
        admit(key);
        writeEnforcement(key);
      }
    },
    enforce(identities) {
      for (const identity of identities) for (const key of byIdentity.get(identity) ?? []) writeEnforcement(key);
    },
    identityOf: (key) => admitted(local.get(key)?.hold),
    endpointsOf: (identity) => byIdentity.get(identity)?.size ?? 0,
    problems: () => [...local.problems(), ...remote.problems()],
  };
}

function enforcementOf(mode: EnforcementMode, isInit: boolean): Enforcement {
  if (mode === 'never') return 'off';
  return mode === 'always' || isInit ? 'forced' : 'by rules';
}

function sameEnforcement(a: EnforcementRow, b: EnforcementRow): boolean {
  return a.identity === b.identity && a.ingress === b.ingress && a.egress === b.egress && a.audit === b.audit;
}

function admitted(hold: Hold | undefined): Identity | undefined {
  return hold && !hold.problem ? hold.identity : undefined;
}

function follow(index: Map<Identity, Set<string>>, key: string, before?: Hold, after?: Hold): void {
  if (before && before.identity !== after?.identity) {
    const keys = index.get(before.identity);
    keys?.delete(key);
    if (keys?.size === 0) index.delete(before.identity);
  }
  if (!after) return;
  const keys = index.get(after.identity);
  if (keys) keys.add(key);
  else index.set(after.identity, new Set([key]));
}

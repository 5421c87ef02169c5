// Users' YAML -> model objects, or the reasons why not. An object with a problem is never returned: nothing is half applied.

import { cidrGroupKinds } from './kinds/cidr-group.ts';
import { deploymentKind } from './kinds/deployment.ts';
import { endpointSliceKind } from './kinds/endpoint-slice.ts';
import type { Kind, ReadOptions } from './kinds/kind.ts';
import { namespaceKind } from './kinds/namespace.ts';
import { nodeKind } from './kinds/node.ts';
import { podKind } from './kinds/pod.ts';
import { ciliumPolicyKind, clusterwidePolicyKind } from './kinds/policy/cilium.ts';
import { networkPolicyKind } from './kinds/policy/network-policy.ts';
import { serviceKind } from './kinds/service.ts';
import { type MeshObject, objectKey, type Problem } from './model.ts';
import { isRecord } from './schema/fields.ts';
import { createReport, formatPath, show } from './schema/report.ts';
import { didYouMean } from './schema/suggest.ts';
import { type Path, parseYaml, type YamlDocument } from './yaml.ts';

/** Every kind that is understood. */
export const KINDS: readonly Kind[] = [
  namespaceKind,
  nodeKind,
  podKind,
  deploymentKind,
  serviceKind,
  endpointSliceKind,
  networkPolicyKind,
  ciliumPolicyKind,
  clusterwidePolicyKind,
  ...cidrGroupKinds,
];

const DEFAULTS: ReadOptions = { nodePeers: false };

/** Problems that are kept of one file. */
const MAX_PROBLEMS = 1_000;

export type { ReadOptions };

export interface ReadResult {
  /** Objects without problems, in the order written. */
  readonly objects: readonly MeshObject[];
  /** Problems and, with `warning`, remarks on objects that were accepted. In the order of lines, object by object. */
  readonly problems: readonly Problem[];
}

interface Written {
  readonly value: unknown;
  readonly path: Path;
  readonly document: YamlDocument;
}

/**
 * Reads all objects of one file: YAML documents (or JSON), v1 Lists opened. `file` is only named in problems.
 * A file with a syntax error gives no objects; otherwise each object stands or falls alone, and of two with the same
 * kind, namespace and name neither is returned.
 */
export function readObjects(file: string, text: string, options: Partial<ReadOptions> = {}): ReadResult {
  const yaml = parseYaml(text);
  const problems: Problem[] = yaml.problems.map((p) => ({ file, ...p, field: '', warning: false }));
  const read = yaml.documents.flatMap((document) => open({ value: document.value, path: [], document }));
  const byKey = new Map<string, MeshObject[]>();
  for (const written of read) {
    const object = readOne(written, { file, options: { ...DEFAULTS, ...options }, problems });
    if (object) byKey.set(objectKey(object), [...(byKey.get(objectKey(object)) ?? []), object]);
  }
  const objects: MeshObject[] = [];
  for (const [key, same] of byKey) {
    const [first, ...others] = same;
    if (first && others.length === 0) objects.push(first);
    for (const other of others) {
      const reason = `${key} is written twice in this file, first on line ${first?.origin.line}: neither is used`;
      problems.push({ ...other.origin, field: 'metadata.name', reason, warning: false, object: key });
    }
  }
  const left = problems.length - MAX_PROBLEMS;
  if (left > 0) {
    const warning = problems.slice(MAX_PROBLEMS).every((p) => p.warning);
    problems.length = MAX_PROBLEMS;
    problems.push({ file, line: 1, field: '', reason: `${left} more problems are not shown`, warning });
  }
  return { objects, problems };
}

/** The object itself, or the items of a List. A List inside a List is left as it is, and refused as an object. */
function open(written: Written): readonly Written[] {
  const { value, path, document } = written;
  if (!isRecord(value) || value.kind !== 'List' || value.apiVersion !== 'v1') return [written];
  const known = ['apiVersion', 'kind', 'metadata', 'items'];
  if (!Array.isArray(value.items) || Object.keys(value).some((name) => !known.includes(name))) return [written];
  return value.items.map((item: unknown, i) => ({ value: item, path: [...path, 'items', i], document }));
}

function readOne(
  { value, path, document }: Written,
  { file, options, problems }: { file: string; options: ReadOptions; problems: Problem[] },
): MeshObject | undefined {
  const origin = { file, line: path.length === 0 ? document.line : document.lineAt(path) };
  const report = createReport();
  const kind = kindOf(value, report);
  const lineOf = (inner: Path): number => (inner.length === 0 ? origin.line : document.lineAt([...path, ...inner]));
  const object = kind?.read(value, {
    origin,
    report,
    options,
    placeOf: (inner) => ({ line: lineOf(inner), field: formatPath([...path, ...inner]) }),
  });
  const name = nameOf(value);
  const found = report.findings.map(({ path: inner, reason, warning }): Problem => {
    const field = formatPath([...path, ...inner]);
    return { file, line: lineOf(inner), field, reason, warning, ...(name === '' ? {} : { object: name }) };
  });
  problems.push(...found.sort((a, b) => a.line - b.line));
  return report.refused ? undefined : object;
}

function kindOf(value: unknown, report: ReturnType<typeof createReport>): Kind | undefined {
  if (!isRecord(value)) {
    report.problem([], `is no object with apiVersion and kind, but ${show(value)}`);
    return undefined;
  }
  const { apiVersion, kind } = value;
  for (const [field, text] of Object.entries({ apiVersion, kind })) {
    if (typeof text !== 'string' || text === '') {
      report.problem([field], text === undefined ? 'required, but missing' : `must be a name, not ${show(text)}`);
    }
  }
  if (report.refused) return undefined;
  const found = KINDS.find((k) => k.kind === kind && k.apiVersion === apiVersion);
  if (found) return found;
  const versions = KINDS.filter((k) => k.kind === kind).map((k) => `"${k.apiVersion}"`);
  if (versions.length > 0) {
    const reason = `${kind} of ${show(apiVersion)} is not supported, only of ${versions.join(', ')}`;
    report.problem(['apiVersion'], reason);
  } else if (kind === 'List') {
    report.problem(
      ['kind'],
      'a List has apiVersion "v1" and the list "items", nothing else, and is not inside another List',
    );
  } else {
    const hint = didYouMean(
      String(kind),
      KINDS.map((k) => k.kind),
    );
    report.problem(['kind'], `kind ${show(kind)} of ${show(apiVersion)} is not supported yet${hint}`);
  }
  return undefined;
}

/** "Kind namespace/name" as far as it can be told from an object that may be wrong; '' if it cannot. */
function nameOf(value: unknown): string {
  if (!isRecord(value) || typeof value.kind !== 'string' || !isRecord(value.metadata)) return '';
  const { namespace, name } = value.metadata;
  if (typeof name !== 'string') return '';
  const inCluster = KINDS.some((k) => k.kind === value.kind && !k.namespaced);
  return `${value.kind} ${inCluster ? '' : typeof namespace === 'string' ? namespace : 'default'}/${name}`;
}

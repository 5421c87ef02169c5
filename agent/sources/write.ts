// Files -> tables: what is in force, and what is to be said of it.

import { isDeepStrictEqual } from 'node:util';
import type { Table } from '#common/table.ts';
import { type MeshObject, type NodeObject, objectKey, type PolicyObject } from '#mesh-config/model.ts';
import type { NodeRow, ObjectStatusRow, Tables } from '../tables.ts';
import type { KnownFile } from './directory.ts';

/** Makes the tables say what the files say. `node`: the name of this one. Returns whether anything changed. */
export function writeTables(
  files: ReadonlyMap<string, KnownFile>,
  tables: Pick<Tables, 'inputs' | 'objects'>,
  node: string,
): boolean {
  const objects = new Map<string, MeshObject>();
  for (const file of files.values()) for (const object of file.objects) objects.set(objectKey(object), object);
  const policies = new Map([...objects].flatMap(([key, object]) => (isPolicy(object) ? [[key, object] as const] : [])));
  const { inputs } = tables;
  const of = <K extends MeshObject['kind']>(kind: K): Map<string, Extract<MeshObject, { kind: K }>> =>
    new Map(
      [...objects.values()]
        .filter((object): object is Extract<MeshObject, { kind: K }> => object.kind === kind)
        .map((object) => [object.namespace === '' ? object.name : `${object.namespace}/${object.name}`, object]),
    );
  // Policies first: a workload never starts before what the same save says about it.
  const changed = [
    replace(inputs.namespaces, of('Namespace'), () => true),
    replace(inputs.nodes, nodeRows(of('Node'), node), () => true),
    replace(inputs.cidrGroups, of('CiliumCIDRGroup'), () => true),
    replace(inputs.policies, policies, () => true),
    replace(inputs.endpointSlices, of('EndpointSlice'), () => true),
    replace(inputs.services, of('Service'), () => true),
    replace(inputs.deployments, of('Deployment'), () => true),
    replace(
      inputs.pods,
      new Map([...of('Pod')].map(([key, object]) => [key, { object, workload: { kind: 'Pod', name: object.name } }])),
      (row) => row.workload.kind === 'Pod', // the others are made from Deployments
    ),
    replace(tables.objects, statusRows(files), () => true),
  ];
  return changed.some(Boolean);
}

/** API servers are known by the EndpointSlice of the service "default/kubernetes". */
function nodeRows(nodes: ReadonlyMap<string, NodeObject>, local: string): Map<string, NodeRow> {
  return new Map(
    [...nodes].map(([name, { labels, addresses }]) => [
      name,
      { name, labels, addresses, local: name === local, apiServer: false },
    ]),
  );
}

function isPolicy(object: MeshObject): object is PolicyObject {
  return object.kind.endsWith('NetworkPolicy');
}

function replace<Row>(table: Table<Row>, wanted: ReadonlyMap<string, Row>, mine: (row: Row) => boolean): boolean {
  let changed = false;
  for (const [key, row] of [...table.entries()]) {
    if (wanted.has(key) || !mine(row)) continue;
    table.delete(key);
    changed = true;
  }
  for (const [key, row] of wanted) {
    if (isDeepStrictEqual(table.get(key), row)) continue;
    table.set(key, row);
    changed = true;
  }
  return changed;
}

function statusRows(files: ReadonlyMap<string, KnownFile>): Map<string, ObjectStatusRow> {
  const rows = new Map<string, ObjectStatusRow>();
  for (const [path, file] of files) {
    if (file.problems.some((problem) => !problem.warning)) {
      rows.set(path, {
        kind: 'File',
        namespace: '',
        name: '',
        file: path,
        line: file.problems[0]?.line ?? 1,
        accepted: false,
        problems: file.problems,
      });
    }
    for (const object of file.objects) {
      const key = objectKey(object);
      const remarks = file.problems.filter((problem) => problem.warning && problem.object === key);
      const { kind, namespace, name } = object;
      rows.set(key, { kind, namespace, name, file: path, line: object.origin.line, accepted: true, problems: remarks });
    }
  }
  return rows;
}

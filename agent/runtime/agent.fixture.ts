// An agent without kernel programs, for tests that kill it: joins and runs the pods that its second argument lists.

import { createLogger } from '#common/log.ts';
import { createCniPlugin } from '../cni/plugin.ts';
import { startCniServer } from '../cni/server.ts';
import { nodeLayout } from '../layout.ts';
import { createTables, type PodRow } from '../tables.ts';
import { startRuntime } from './runtime.ts';

const [node = '', cgroupRoot = '', pods = '[]'] = process.argv.slice(2);
const layout = nodeLayout(node, cgroupRoot);
const tables = createTables();
for (const row of JSON.parse(pods) as PodRow[]) {
  tables.inputs.pods.set(`${row.object.namespace}/${row.object.name}`, row);
}
const log = createLogger('fixture', 'silent');
const unavailable = (): undefined => undefined;
const hooks = { attach: () => {}, detach: () => {}, ready: () => Promise.resolve(), unavailable };
const plugin = createCniPlugin({ layout, tables, hooks, log });
await plugin.adopt();
await startCniServer({ path: layout.cniSocket, plugin, log });
const runtime = await startRuntime({ layout, tables: tables.inputs, cni: plugin, log });
const tell = (): void => {
  const statuses = [...runtime.statuses.values()].map(({ name, ready, reason, restarts }) => ({
    name,
    ready,
    reason,
    restarts,
  }));
  console.log(JSON.stringify({ statuses, endpoints: tables.inputs.endpoints.size }));
};
tell();
runtime.statuses.subscribe(tell);

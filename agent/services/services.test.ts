import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatAddress } from '#common/ip.ts';
import { createScene, type Scene } from '../compute/scene.fixture.ts';

const pod = (name: string, labels: string): string =>
  `{ apiVersion: v1, kind: Pod, metadata: { name: ${name}, labels: ${labels} }, spec: { containers: [{ name: c, image: i, command: [c], ports: [{ name: web, containerPort: 8080 }] }] } }`;
const service = (name: string, spec: string): string =>
  `{ apiVersion: v1, kind: Service, metadata: { name: ${name} }, spec: ${spec} }`;

function frontends(scene: Scene, name: string): readonly string[] {
  const { desired } = scene.tables;
  return [...desired.frontends.values()]
    .filter((f) => f.name === `default/${name}`)
    .map((f) => {
      const backends = f.backends
        .map((id) => desired.backends.get(String(id)))
        .map((b) => b && `${formatAddress(b.address)} ${b.port} ${b.protocol}`);
      return `${formatAddress(f.address)} ${f.port} ${f.protocol} -> ${backends.join(', ')}`;
    })
    .sort();
}

const names = (scene: Scene, name: string): unknown => {
  const row = scene.tables.desired.dns.get(name);
  return row && [row.addresses.map(formatAddress), row.srv.map((s) => `${s.target}:${s.port}`)];
};

describe('services', () => {
  it('have an address of each family, backends that are ready and selected, named ports of each pod, and names', () => {
    using scene = createScene();
    scene.put(pod('a', '{ app: web }'));
    scene.put(pod('b', '{ app: web }'));
    scene.put(pod('c', '{ app: other }'));
    scene.put(service('web', '{ selector: { app: web }, ports: [{ name: http, port: 80, targetPort: web }] }'));
    const b = scene.tables.inputs.endpoints.get('default/b');
    assert.ok(b);
    scene.tables.inputs.endpoints.set('default/b', { ...b, ready: false });
    scene.compute.step();
    const [four, six] = frontends(scene, 'web');
    assert.match(four ?? '', /^10\.96\.\d+\.\d+ 80 6 -> 10\.244\.0\.10 8080 6$/);
    assert.match(six ?? '', /^fd00:10:96::[0-9a-f]+ 80 6 -> fd00:10:244::a 8080 6$/);
    const name = 'web.default.svc.cluster.local';
    assert.deepEqual(names(scene, name), [[four, six].map((f) => f?.split(' ')[0]), []]);
    assert.deepEqual(names(scene, `_http._tcp.${name}`), [[], [`${name}:80`]]);

    scene.tables.inputs.endpoints.set('default/b', { ...b, ready: true, namedPorts: [] });
    scene.compute.step();
    assert.equal(frontends(scene, 'web')[0], four, 'a pod without a port of that name is no backend');
    scene.tables.inputs.endpoints.set('default/b', b);
    scene.compute.step();
    assert.match(frontends(scene, 'web')[0] ?? '', /-> 10\.244\.0\.10 8080 6, 10\.244\.0\.11 8080 6$/);
    scene.remove('service', 'default/web');
    scene.compute.step();
    assert.deepEqual(
      [frontends(scene, 'web'), names(scene, name), scene.tables.desired.backends.size],
      [[], undefined, 0],
    );
  });

  it('get the addresses they ask for, or say why not', () => {
    using scene = createScene();
    scene.put(service('one', '{ clusterIP: 10.96.7.7, ports: [{ port: 80 }] }'));
    scene.put(service('two', '{ clusterIP: 10.96.7.7, ports: [{ port: 80 }] }'));
    scene.put(service('out', '{ clusterIP: 192.0.2.1, ports: [{ port: 80 }] }'));
    scene.put(service('dns', '{ clusterIP: 10.96.0.10, ports: [{ port: 53 }] }'));
    scene.compute.step();
    assert.deepEqual(frontends(scene, 'one'), ['10.96.7.7 80 6 -> ']);
    for (const name of ['two', 'out', 'dns']) assert.deepEqual(frontends(scene, name), []);
    assert.deepEqual(
      scene.compute.problems().map((p) => `${p.object}: ${p.reason}`),
      [
        'Service default/two: Cannot use ClusterIP "10.96.7.7": belongs to service "default/one"',
        'Service default/out: Cannot use ClusterIP "192.0.2.1": is outside the service ranges',
        'Service default/dns: Cannot use ClusterIP "10.96.0.10": belongs to service "kube-system/kube-dns"',
      ],
    );
    scene.remove('service', 'default/one');
    scene.put(service('two', '{ clusterIP: 10.96.7.7, ports: [{ port: 81 }] }'));
    scene.remove('service', 'default/out');
    scene.compute.step();
    assert.deepEqual(frontends(scene, 'two'), ['10.96.7.7 81 6 -> ']);
    assert.equal(scene.compute.problems().length, 1);
  });

  it('are headless with clusterIP None: names of pods, no frontend', () => {
    using scene = createScene();
    scene.put(pod('a', '{ app: db }'));
    scene.put(pod('b', '{ app: db }'));
    scene.put(
      service('db', '{ clusterIP: None, selector: { app: db }, ports: [{ name: sql, port: 5432, targetPort: web }] }'),
    );
    scene.compute.step();
    assert.deepEqual(frontends(scene, 'db'), []);
    const name = 'db.default.svc.cluster.local';
    assert.deepEqual(names(scene, name), [['10.244.0.10', 'fd00:10:244::a', '10.244.0.11', 'fd00:10:244::b'], []]);
    assert.deepEqual(names(scene, `a.${name}`), [['10.244.0.10', 'fd00:10:244::a'], []]);
    assert.deepEqual(names(scene, `_sql._tcp.${name}`), [[], [`a.${name}:8080`, `b.${name}:8080`]]);
    scene.remove('pod', 'default/a');
    scene.compute.step();
    assert.equal(names(scene, `a.${name}`), undefined);
  });

  it('keep their addresses over a restart, whatever their order', () => {
    using scene = createScene();
    for (let n = 0; n < 300; n++) scene.put(service(`s${n}`, '{ ports: [{ port: 80 }] }'));
    scene.compute.step();
    const before = [...scene.tables.desired.frontends.entries()].map(([key]) => key).sort();
    assert.equal(new Set(before).size, 2 * 300 + 4);
    const inputs = [...scene.tables.inputs.services.entries()].reverse();
    for (const [key] of inputs) scene.tables.inputs.services.delete(key);
    for (const [key, row] of inputs) scene.tables.inputs.services.set(key, row);
    const next = scene.restart();
    next.compute.step();
    assert.deepEqual([...next.tables.desired.frontends.entries()].map(([key]) => key).sort(), before);
    const of = (s: Scene): unknown =>
      [...s.tables.desired.frontends.entries()].map(([key, f]) => `${key} ${f.name} ${f.service}`).sort();
    assert.deepEqual(of(next), of(scene));
  });

  it('share a backend', () => {
    using scene = createScene();
    scene.put(pod('a', '{ app: web }'));
    scene.put(service('one', '{ clusterIP: 10.96.7.1, selector: { app: web }, ports: [{ port: 80 }] }'));
    scene.put(service('two', '{ clusterIP: 10.96.7.2, selector: { app: web }, ports: [{ port: 80 }] }'));
    scene.compute.step();
    assert.equal(scene.tables.desired.backends.size, 1);
    scene.remove('service', 'default/one');
    scene.compute.step();
    assert.equal(scene.tables.desired.backends.size, 1);
    assert.deepEqual(frontends(scene, 'two'), ['10.96.7.2 80 6 -> 10.244.0.10 80 6']);
  });
});

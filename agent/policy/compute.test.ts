import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { entryAt, http, OTHER, PEER, policyOf, rig, SUBJECT, set, tcp, type Written } from './rig.fixture.ts';

describe('rulesets', () => {
  it('have their content as soon as there is an id, also when there is none for the next one', () => {
    const one = rig(1);
    set(one, policyOf([80, 81].map((port): Written => ({ ports: [tcp(port)], l7: http('GET') }))));
    one.compute.addSubject(OTHER, 'by rules');
    one.compute.recompute();
    one.compute.removeSubject(SUBJECT);
    one.compute.recompute();
    const entries = [80, 81].map((port) => entryAt(one, port, PEER, OTHER));
    assert.deepEqual(
      entries.map((entry) => entry?.action),
      ['redirect', 'deny'],
    );
    assert.equal(one.desired.rulesets.get(String(entries[0]?.ruleset))?.rules.length, 1);
  });
  it('that are wanted when no id is left deny, until there is one', () => {
    const one = rig(2);
    const items = [80, 81].map((port): Written => ({ ports: [tcp(port)], l7: http('GET') }));
    set(one, policyOf(items));
    one.compute.addSubject(OTHER, 'by rules');
    one.compute.recompute();
    assert.deepEqual(
      [80, 81].map((port) => entryAt(one, port, PEER, OTHER)?.action),
      ['deny', 'deny'],
    );
    assert.deepEqual(
      [80, 81].map((port) => entryAt(one, port, PEER)?.action),
      ['redirect', 'redirect'],
    );
    assert.deepEqual(one.compute.problems(), [
      'Cannot ask the proxy for egress of identity 301: no ruleset id is left; it is denied',
    ]);
    one.compute.removeSubject(SUBJECT);
    one.compute.recompute();
    assert.deepEqual(
      [80, 81].map((port) => entryAt(one, port, PEER, OTHER)?.action),
      ['redirect', 'redirect'],
    );
    assert.deepEqual(one.compute.problems(), []);
    const contents = [...one.desired.rulesets.values()].map((row) => [row.subject, row.rules.length]);
    assert.deepEqual(contents, [
      [OTHER, 1],
      [OTHER, 1],
    ]);
  });
});

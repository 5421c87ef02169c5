// What rulesets say, as rules come together.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  app,
  ask,
  dns,
  generic,
  http,
  kafka,
  OTHER,
  PEER,
  policyOf,
  rig,
  STRANGER,
  sameAs,
  set,
  tcp,
  type Written,
} from './rig.fixture.ts';

describe('L7 rules', () => {
  const peers = [app('peer')];
  const same = [sameAs(PEER)];
  const cases: readonly {
    readonly name: string;
    readonly items: readonly Written[];
    readonly open?: true;
    readonly port?: number;
    readonly is: string;
    readonly stranger?: string;
  }[] = [
    {
      name: 'rules of one parser are a union',
      items: [
        { peers, l7: http('GET') },
        { peers: same, l7: http('PUT') },
      ],
      is: 'http GET,PUT',
    },
    {
      name: 'a plain allow of the peer lifts them',
      items: [{ peers, l7: http('GET') }, { peers }],
      is: 'http wildcard GET',
    },
    {
      name: 'one of any port too',
      items: [
        { peers, l7: http('GET') },
        { peers: same, all: true },
      ],
      is: 'http wildcard GET',
    },
    {
      name: 'one of others does not',
      items: [{ l7: http('GET') }, { peers }],
      is: 'http wildcard GET',
      stranger: 'http GET',
    },
    { name: 'a rule without condition lets all pass', items: [{ peers, l7: http('') }], is: 'http wildcard' },
    {
      name: 'a wider range counts',
      items: [
        { peers, ports: [tcp(64, 95)], l7: http('GET') },
        { peers, l7: http('PUT') },
      ],
      is: 'http GET,PUT',
    },
    {
      name: 'without default deny they only show',
      items: [{ peers, l7: http('GET') }],
      open: true,
      is: 'http wildcard GET',
      stranger: 'allow',
    },
    { name: 'the same of DNS rules', items: [{ peers, l7: dns('*.a') }], open: true, is: 'dns wildcard *.a' },
    {
      name: 'http before kafka, which lifts',
      items: [
        { peers, l7: http('GET') },
        { peers: same, l7: kafka('t') },
      ],
      is: 'http wildcard GET',
    },
    {
      name: 'two parsers of one selector and port each keep theirs',
      items: [
        { peers, l7: http('GET') },
        { peers, l7: kafka('t') },
      ],
      is: 'http GET',
    },
    {
      name: 'two policies as well',
      items: [
        { peers, l7: dns('*.a') },
        { peers, l7: generic('x') },
      ],
      is: 'generic wildcard x',
    },
    {
      name: 'TLS names and a plain allow of the same selector and port',
      items: [{ peers, serverNames: ['a'] }, { peers }],
      is: 'tls a',
    },
    { name: 'of another selector', items: [{ peers, serverNames: ['a'] }, { peers: same }], is: 'tls wildcard a' },
    {
      name: 'of another port',
      items: [
        { peers, serverNames: ['a'] },
        { peers, all: true },
      ],
      is: 'tls wildcard a',
    },
    {
      name: 'TLS names lift HTTP rules',
      items: [
        { peers, serverNames: ['a'] },
        { peers, l7: http('GET') },
      ],
      is: 'http wildcard GET',
    },
    {
      name: 'DNS rules and TLS names keep theirs',
      items: [
        { peers, serverNames: ['a'] },
        { peers, l7: dns('*.a') },
      ],
      is: 'tls a',
    },
    {
      name: 'DNS rules stay where more than the port is allowed',
      items: [
        { peers, l7: dns('*.a') },
        { peers, all: true },
      ],
      is: 'dns *.a',
    },
    {
      name: 'DNS rules are lifted on exactly their port',
      items: [{ peers, l7: dns('*.a') }, { peers: same }],
      is: 'dns wildcard *.a',
    },
    {
      name: 'not by the ports of the DNS rules of others',
      items: [
        { peers, ports: [tcp(64, 95)], l7: dns('*.a') },
        { peers: same },
        { peers: [app('stranger')], l7: dns('*.b') },
      ],
      is: 'dns *.a',
      stranger: 'dns *.b',
    },
    {
      name: 'denied requests, where something is allowed',
      items: [{ peers }, { l7: http('PUT'), deny: true }],
      is: 'none wildcard not PUT',
      stranger: 'deny',
    },
    {
      name: 'denied requests beside allowed ones',
      items: [
        { peers, l7: http('GET') },
        { peers: same, l7: http('PUT'), deny: true },
      ],
      is: 'http GET not PUT',
      stranger: 'deny',
    },
    {
      name: 'denied requests of a wider range, a port of it allowed to everybody',
      items: [{ peers, ports: [tcp(64, 95)], l7: http('PUT'), deny: true }, {}],
      is: 'none wildcard not PUT',
      stranger: 'allow',
    },
    {
      name: 'denied requests of everybody at a port, any port allowed to one',
      items: [
        { peers, all: true },
        { l7: http('PUT'), deny: true },
      ],
      is: 'none wildcard not PUT',
      stranger: 'deny',
    },
    {
      name: 'elsewhere they are not asked for',
      items: [
        { peers, all: true },
        { l7: http('PUT'), deny: true },
      ],
      port: 81,
      is: 'allow',
    },
    {
      name: 'a deny refuses all of it',
      items: [
        { peers, l7: http('GET') },
        { peers: same, deny: true, all: true },
      ],
      is: 'deny',
    },
  ];
  for (const { name, items, open, port = 80, is, stranger } of cases) {
    it(name, () => {
      const one = rig();
      set(one, policyOf(items, 'p', !open));
      assert.equal(ask(one, port), is);
      if (stranger) assert.equal(ask(one, port, STRANGER), stranger);
      const apart = rig();
      set(apart, ...items.toReversed().map((item, i) => policyOf([item], `p${i}`, !open)));
      assert.equal(ask(apart, port), is, 'whatever the order, and from whichever policy');
    });
  }

  it('share their content between subjects of the same rules', () => {
    const one = rig();
    one.compute.addSubject(OTHER, 'by rules');
    set(one, policyOf([{ peers, l7: http('GET') }]));
    const [a, b] = [...one.desired.rulesets.values()];
    assert.ok(a && b && a.id !== b.id);
    assert.equal(a.rules, b.rules);
  });
});

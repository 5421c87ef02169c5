import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RE2JS } from 're2js';
import type { HttpRule } from '../model.ts';
import { compileHttpRules, type RequestView } from './http.ts';
import { createRandom } from './random.ts';

const ANY: HttpRule = { method: '', path: '', host: '', headers: [] };

function rule(part: Partial<HttpRule>): HttpRule {
  return { ...ANY, ...part };
}

interface Request {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function view({ method = 'GET', path = '/', host = 'h', headers = {} }: Request): RequestView {
  const [methodBytes, pathBytes, hostBytes] = [method, path, host].map((text) => Buffer.from(text)) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  const methodEnd = 1 + methodBytes.length;
  const pathEnd = methodEnd + 1 + pathBytes.length;
  return {
    buffer: Buffer.concat([Buffer.from('>'), methodBytes, Buffer.from(' '), pathBytes, Buffer.from(' '), hostBytes]),
    methodStart: 1,
    methodEnd,
    pathStart: methodEnd + 1,
    pathEnd,
    hostStart: pathEnd + 1,
    hostEnd: pathEnd + 1 + hostBytes.length,
    header: (name) => headers[name],
  };
}

describe('compileHttpRules', () => {
  const cases: { name: string; rules: readonly HttpRule[]; request: Request; all: readonly number[] }[] = [
    { name: 'no rule: nothing', rules: [], request: {}, all: [] },
    { name: 'an empty rule: everything', rules: [ANY], request: { method: 'X', path: '' }, all: [0] },
    {
      name: 'method and path both match',
      rules: [rule({ method: 'POST', path: '/v1/request-landing' })],
      request: { method: 'POST', path: '/v1/request-landing' },
      all: [0],
    },
    {
      name: 'only the path matches',
      rules: [rule({ method: 'POST', path: '/v1/request-landing' })],
      request: { method: 'PUT', path: '/v1/request-landing' },
      all: [],
    },
    {
      name: 'only the method matches',
      rules: [rule({ method: 'POST', path: '/v1/request-landing' })],
      request: { method: 'POST', path: '/v1/request-landing?x=1' },
      all: [],
    },
    {
      name: 'method of one rule, path of another: no match',
      rules: [rule({ method: 'GET', path: '/a' }), rule({ method: 'PUT', path: '/b' })],
      request: { method: 'GET', path: '/b' },
      all: [],
    },
    {
      name: 'several rules, ascending',
      rules: [rule({ path: '/b' }), rule({ path: '/.*' }), rule({ method: 'GET' }), rule({ path: '/a' }), ANY],
      request: { path: '/a' },
      all: [1, 2, 3, 4],
    },
    {
      name: 'two rules with the same pattern',
      rules: [rule({ method: 'PUT', path: '/a' }), rule({ method: 'GET', path: '/a' }), rule({ path: '^/a$' })],
      request: { path: '/a' },
      all: [1, 2],
    },
    { name: 'host', rules: [rule({ host: 'h\\.ns(:80)?' })], request: { host: 'h.ns:80' }, all: [0] },
    { name: 'another host', rules: [rule({ host: 'h\\.ns' })], request: { host: 'hxns' }, all: [] },
    {
      name: 'a header that must be there, whatever its case in the rule',
      rules: [rule({ headers: [{ name: 'X-Any', value: undefined }] })],
      request: { headers: { 'x-any': '' } },
      all: [0],
    },
    {
      name: 'a header that is missing',
      rules: [rule({ headers: [{ name: 'X-Any', value: undefined }] })],
      request: { headers: { 'x-other': '' } },
      all: [],
    },
    {
      name: 'the value of a header is compared exactly',
      rules: [
        rule({ headers: [{ name: 'x', value: 'True' }] }),
        rule({ headers: [{ name: 'x', value: 'true' }] }),
        rule({ headers: [{ name: 'x', value: 'tru' }] }),
      ],
      request: { headers: { x: 'true' } },
      all: [1],
    },
    {
      name: 'all headers must match',
      rules: [
        rule({
          headers: [
            { name: 'x', value: '1' },
            { name: 'y', value: '2' },
          ],
        }),
      ],
      request: { headers: { x: '1', y: '3' } },
      all: [],
    },
    {
      name: 'a rule without headers after rules with headers that fail',
      rules: [rule({ path: '/.*', headers: [{ name: 'x', value: '1' }] }), rule({ path: '/a' })],
      request: { path: '/a' },
      all: [1],
    },
    {
      name: 'characters past ASCII',
      rules: [rule({ path: '/é' }), rule({ path: '/.' })],
      request: { path: '/é' },
      all: [0, 1],
    },
    { name: 'an empty path', rules: [rule({ path: '/.*' }), rule({ path: '.*' })], request: { path: '' }, all: [1] },
  ];
  for (const { name, rules, request, all } of cases) {
    test(name, () => {
      const matcher = compileHttpRules(rules);
      // Twice: the first request works the combination out, the second finds it.
      for (const _ of [1, 2]) {
        assert.equal(matcher.match(view(request)), all[0] ?? -1);
        assert.deepEqual(matcher.matchAll(view(request)), all);
      }
    });
  }

  test('throws on a pattern that is not RE2, and names it', () => {
    assert.throws(() => compileHttpRules([rule({ path: '/ok' }), rule({ method: '(?=G)' })]), /method "\(\?=G\)"/);
  });
});

describe('agrees with one expression at a time', () => {
  const PATTERNS = ['', 'a', 'b', '/a', '/a/.*', '/[ab]', '/a/b', '.*', '(?i)/A', '/.+/b', 'b|/b', '^/a$', '/é.*'];
  const TEXTS = ['a', 'b', '/a', '/A', '/b', '/a/', '/a/b', '/c', '', '/é', '/a/é', '/a/b/b'];
  const variants = [
    { name: 'with the usual limits', options: {} },
    { name: 'with room for few combinations', options: { maxCombinations: 3 } },
    { name: 'with tiny tables', options: { limits: { tableBytes: 300, setNodes: 30, aheadVisits: 10 } } },
  ];
  for (const { name, options } of variants) {
    test(name, () => {
      const random = createRandom(7);
      for (let round = 0; round < 60; round++) {
        const rules = Array.from({ length: 1 + random.below(12) }, () =>
          rule({
            method: random.pick(PATTERNS),
            path: random.pick(PATTERNS),
            host: random.chance(0.3) ? random.pick(PATTERNS) : '',
            headers: random.chance(0.2)
              ? [{ name: 'X', value: random.chance(0.3) ? undefined : random.pick(['1', '2']) }]
              : [],
          }),
        );
        const matcher = compileHttpRules(rules, options);
        for (let n = 0; n < 60; n++) {
          const [method, path, host] = [random.pick(TEXTS), random.pick(TEXTS), random.pick(TEXTS)];
          const headers: Record<string, string> = random.chance(0.5) ? { x: random.pick(['1', '2']) } : {};
          const holds = (pattern: string, text: string): boolean => pattern === '' || RE2JS.matches(pattern, text);
          const expected = rules.flatMap((r, i) =>
            holds(r.method, method) &&
            holds(r.path, path) &&
            holds(r.host, host) &&
            r.headers.every((h) => headers.x !== undefined && (h.value ?? headers.x) === headers.x)
              ? [i]
              : [],
          );
          const request = view({ method, path, host, headers });
          assert.equal(
            matcher.match(request),
            expected[0] ?? -1,
            JSON.stringify({ rules, method, path, host, headers }),
          );
          assert.deepEqual(matcher.matchAll(request), expected);
        }
      }
    });
  }
});

describe('cost does not grow with the number of rules', () => {
  const kinds: { name: string; path: (i: number) => string; request: (i: number) => string }[] = [
    { name: 'literals', path: (i) => `/api/service-${i}/items`, request: (i) => `/api/service-${i}/items` },
    { name: 'prefixes', path: (i) => `/api/service-${i}/.*`, request: (i) => `/api/service-${i}/a/b` },
    { name: 'expressions', path: (i) => `/api/[a-z]+-${i}/[0-9]+(/x)?`, request: (i) => `/api/service-${i}/42/x` },
  ];
  for (const { name, path, request } of kinds) {
    test(`${name}, 1 to 10,000`, () => {
      for (const count of [1, 100, 10_000]) {
        const rules = Array.from({ length: count }, (_, i) => rule({ method: 'GET|HEAD', path: path(i) }));
        const matcher = compileHttpRules(rules);
        const last = view({ path: request(count - 1) });
        const other = view({ path: '/api/other/42/x' });
        matcher.match(last);
        matcher.match(other);
        const before = matcher.stats();
        assert.equal(matcher.match(last), count - 1);
        assert.equal(matcher.match(other), -1);
        const after = matcher.stats();
        const steps = after.path.steps - before.path.steps + after.method.steps - before.method.steps;
        const bytes = 2 * 'GET'.length + request(count - 1).length + '/api/other/42/x'.length;
        assert.ok(steps <= bytes, `${steps} table look-ups for ${bytes} bytes`);
        assert.equal(after.path.simulations, 0);
        assert.equal(after.combinations, before.combinations);
      }
    });
  }

  test('a request whose combination is known allocates nothing', () => {
    const rules = Array.from({ length: 200 }, (_, i) => rule({ method: i % 2 ? 'GET' : 'P.*', path: `/s-${i}/.*` }));
    const matcher = compileHttpRules(rules);
    const request = view({ path: '/s-33/a' });
    const run = (): number => {
      const before = process.memoryUsage().heapUsed;
      for (let i = 0; i < 200_000; i++) matcher.match(request);
      return process.memoryUsage().heapUsed - before;
    };
    run();
    // One number per request would be over 2 MB. A collection in between makes a run negative, hence several.
    const grown = Math.max(...[run(), run(), run()].filter((bytes) => bytes >= 0), 0);
    assert.ok(grown < 500_000, `${grown} bytes for 200,000 requests`);
  });

  test('combinations are bounded', () => {
    const rules = Array.from({ length: 50 }, (_, i) => rule({ method: `M${i % 7}`, path: `/${i}` }));
    const matcher = compileHttpRules(rules, { maxCombinations: 10 });
    for (let i = 0; i < 50; i++) assert.equal(matcher.match(view({ method: `M${i % 7}`, path: `/${i}` })), i);
    assert.ok(matcher.stats().combinations <= 10);
  });
});

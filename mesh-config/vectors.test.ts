// Objects whose fate under the reference implementation is known, where they are at hand.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { Problem } from './model.ts';
import { readObjects } from './read.ts';

const VECTORS = process.env.WEIR_POLICY_VECTORS ?? join(import.meta.dirname, '../../shared/vectors/policy');
const skip = !existsSync(VECTORS) && `no ${VECTORS}`;

interface InvalidCase {
  readonly name: string;
  readonly object: { readonly kind: string };
  readonly rejectedBy: 'decode' | 'engine' | 'schema' | 'none';
}

/** Where this is meant to differ from the reference. */
const EXCEPTIONS: Readonly<Record<string, { readonly accepted: boolean; readonly why: string }>> = {
  'l7-http-bad-host-regex': { accepted: false, why: 'an expression that is none matches nothing' },
  'l7-dns-port-range': { accepted: true, why: 'DNS rules hold on ranges here' },
  'l7-in-ingressdeny': { accepted: true, why: 'requests can be denied here' },
};

/** Accepted though they look wrong: the user is told. */
const REMARKED = /endport-below-port|except-outside-is-accepted|ignores-podselector/;

function read(name: string): readonly Record<string, unknown>[] {
  return JSON.parse(readFileSync(join(VECTORS, name), 'utf8'));
}

function line({ line, field, reason }: Problem): string {
  return `${line} ${field}: ${reason}`;
}

describe('objects of invalid.json', { skip }, () => {
  const cases = skip ? [] : (read('invalid.json') as unknown as readonly InvalidCase[]);
  for (const { name, object, rejectedBy } of cases) {
    const accepted = EXCEPTIONS[name]?.accepted ?? rejectedBy === 'none';
    test(`${name} is ${accepted ? 'accepted' : 'refused, with field and reason'}`, () => {
      const { objects, problems } = readObjects('f.json', JSON.stringify(object, null, 2));
      const refusals = problems.filter((p) => !p.warning);
      assert.equal(objects.length, accepted ? 1 : 0, problems.map(line).join('\n'));
      assert.equal(refusals.length > 0, !accepted);
      for (const problem of refusals) {
        assert.match(problem.field, /^(metadata|specs?\b)/, line(problem));
        assert.ok(problem.reason.length > 15 && !/undefined|\[object/.test(problem.reason), line(problem));
      }
      if (accepted) assert.equal(problems.length > 0, REMARKED.test(name), problems.map(line).join('\n'));
    });
  }
});

for (const file of ['handmade', 'random-1', 'random-2', 'kafka', 'conflicts']) {
  test(`every policy of ${file}.json is accepted`, { skip }, () => {
    for (const { name, policies } of read(`${file}.json`)) {
      for (const object of policies as readonly { readonly kind: string }[]) {
        const { objects, problems } = readObjects('f.json', JSON.stringify(object));
        const refusals = problems.filter((p) => !p.warning);
        assert.deepEqual(refusals.map(line), [], `${name}`);
        assert.equal(objects[0]?.kind, object.kind);
      }
    }
  });
}

// Policies from public examples, where they are at hand: each is accepted, or refused for a reason that a person would
// agree with.

import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { readObjects } from './read.ts';

const CORPUS = process.env.WEIR_POLICY_CORPUS ?? join(import.meta.dirname, '../../shared/corpus/policies');

const PLACEHOLDER = /"NODE_WITHOUT_CILIUM_IP\/32" is no prefix: write an address and a length/;

/** File -> why objects in it are refused. All others are accepted as a whole. */
const REFUSED: Readonly<Record<string, RegExp>> = {
  // Parts of the language that are known and not built.
  'examples/kubernetes-tls-inspection/l7-visibility-tls.yaml': /"(terminating|originating)TLS" is not supported yet/,
  'examples/kubernetes/servicemesh/cnp-with-mutual-auth.yaml':
    /"authentication" is not supported yet: mode is "required"/,
  'examples/policies/host/allow-extended-protocols.yaml': /protocol "VRRP" is not supported yet: it has no ports/,
  // Off by default, as in the reference.
  'examples/policies/l3/entities/customnodes.yaml': /selects nodes by their labels, which is switched off here/,
  // Not of the language, or not any more.
  'examples/policies/auth/auth.yaml': /unknown field "auth"/,
  'examples/policies/l3/requires/requires.yaml': /must be empty: requirements are gone from the language/,
  // Templates that somebody fills in before use.
  'test/k8s/manifests/ccnp-host-ingress-from-cidr-to-ports.yaml': PLACEHOLDER,
  'test/k8s/manifests/ccnp-host-policy-nodeport-tests.yaml': PLACEHOLDER,
  'test/k8s/manifests/cnp-ingress-from-cidr-to-ports.yaml': PLACEHOLDER,
  'test/k8s/manifests/cnp-second-namespaces/templates/policy.yaml': /not usable YAML: a key must be a plain text/,
  // Of two objects with one name the last would win.
  'examples/kubernetes/connectivity-check/connectivity-check-proxy.yaml': /is written twice in this file/,
};

const skip = !existsSync(CORPUS) && `no ${CORPUS}`;
const files = skip ? [] : globSync(`${CORPUS}/**/*.{yaml,yml,json}`).sort();

test('every object of the corpus is accepted, or refused as listed', { skip }, (t) => {
  assert.ok(files.length > 0);
  let accepted = 0;
  let refused = 0;
  for (const path of files) {
    const file = relative(CORPUS, path);
    const text = readFileSync(path, 'utf8');
    const { objects, problems } = readObjects(file, text);
    const refusals = problems.filter((p) => !p.warning);
    const expected = REFUSED[file];
    accepted += objects.length;
    refused += new Set(refusals.map((p) => p.object ?? '')).size;
    for (const { line, field, reason } of refusals) assert.match(reason, expected ?? /^$/, `${file}:${line} ${field}`);
    assert.equal(refusals.length > 0, expected !== undefined, `${file}: the list of refusals is out of date`);
    for (const { line } of problems) assert.ok(line >= 1 && line <= text.split('\n').length, `${file}:${line}`);
    if (expected === undefined) assert.equal(objects.length, documentsIn(text), file);
  }
  t.diagnostic(`${files.length} files: ${accepted} objects accepted, ${refused} refused`);
});

test('the list of refusals names files of the corpus', { skip }, () => {
  const known = new Set(files.map((path) => relative(CORPUS, path)));
  for (const file of Object.keys(REFUSED)) assert.ok(known.has(file), file);
});

function documentsIn(text: string): number {
  const documents = parseAllDocuments(text);
  return 'empty' in documents ? 0 : documents.filter((document) => document.toJS() !== null).length;
}

// Policies from public examples, where they are at hand: each is accepted, or refused with a reason that names a field.

import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { readObjects } from './read.ts';

const CORPUS = process.env.WEIR_POLICY_CORPUS ?? join(import.meta.dirname, '../../shared/corpus/policies');

test('every object of the corpus is accepted or refused by name', {
  skip: !existsSync(CORPUS) && `no ${CORPUS}`,
}, (t) => {
  const files = globSync(`${CORPUS}/**/*.{yaml,yml,json}`);
  assert.ok(files.length > 0);
  let accepted = 0;
  let refused = 0;
  let broken = 0;
  for (const file of files) {
    const text = readFileSync(file, 'utf8');
    const { objects, problems } = readObjects(basename(file), text);
    const real = problems.filter((p) => !p.warning);
    accepted += objects.length;
    refused += new Set(real.map((p) => p.object ?? p.line)).size;
    for (const p of problems) {
      assert.ok(
        p.reason.length > 0 && p.line >= 1 && p.line <= text.split('\n').length,
        `${file}: ${JSON.stringify(p)}`,
      );
    }
    const syntax = real.some((p) => p.field === '');
    if (syntax) {
      broken++;
      continue;
    }
    const documents = parseAllDocuments(text);
    const written = 'empty' in documents ? 0 : documents.filter((d) => d.toJS() !== null).length;
    const named = new Set(real.map((p) => p.object)).size;
    assert.ok(objects.length + named >= Math.min(1, written), `${file}: ${written} documents, none accounted for`);
    assert.ok(
      objects.length === written || real.length > 0,
      `${file}: ${written} documents, ${objects.length} objects`,
    );
  }
  t.diagnostic(
    `${files.length} files: ${accepted} objects accepted, ${refused} refused, ${broken} files not usable as YAML`,
  );
  assert.ok(accepted > 0 && refused > 0);
});

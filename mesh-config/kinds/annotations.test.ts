import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { accepted, refused } from '../testing.ts';

const CONTAINERS = 'containers: [{name: c, command: [x]}]';
const pod = (annotations: string): string =>
  `{apiVersion: v1, kind: Pod, metadata: {name: p, annotations: {${annotations}}}, spec: {${CONTAINERS}}}`;
const deployment = (annotations: string): string => `apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}, annotations: {${annotations}}}
    spec: {${CONTAINERS}}`;

describe('the annotation for audit mode', () => {
  const cases: { name: string; annotations: string; audit: boolean }[] = [
    { name: 'without it', annotations: '', audit: false },
    { name: 'enabled', annotations: 'policy.weir.io/audit-mode: enabled', audit: true },
    { name: 'disabled', annotations: 'policy.weir.io/audit-mode: disabled', audit: false },
    {
      name: 'of somebody else',
      annotations: 'policy.example.io/audit-mode: enabled, weir.io.example.com/x: y',
      audit: false,
    },
  ];
  for (const { name, annotations, audit } of cases) {
    test(name, () => {
      assert.equal(accepted('Pod', pod(annotations)).object.audit, audit);
      assert.equal(accepted('Deployment', deployment(annotations)).object.template.audit, audit);
    });
  }
});

describe('an annotation of Weir is refused', () => {
  const field = (key: string): string => `annotations["${key}"]`;
  const cases: { name: string; text: string; reasons: string[] }[] = [
    {
      name: 'with a value that means nothing',
      text: pod('policy.weir.io/audit-mode: "true"'),
      reasons: [`1 metadata.${field('policy.weir.io/audit-mode')}: "true" is none of "enabled", "disabled"`],
    },
    {
      name: 'with the name of an inherited property as value',
      text: pod('policy.weir.io/audit-mode: constructor'),
      reasons: [`1 metadata.${field('policy.weir.io/audit-mode')}: "constructor" is none of "enabled", "disabled"`],
    },
    {
      name: 'that is misspelled, in a pod template',
      text: deployment('policy.weir.io/auditmode: enabled'),
      reasons: [
        `7 spec.template.metadata.${field('policy.weir.io/auditmode')}: unknown annotation "policy.weir.io/auditmode", did you mean "policy.weir.io/audit-mode"?`,
      ],
    },
    {
      name: 'that is known nowhere',
      text: pod('weir.io/colour: red'),
      reasons: [`1 metadata.${field('weir.io/colour')}: unknown annotation "weir.io/colour"`],
    },
    {
      name: 'on an object that is no pod',
      text: '{apiVersion: v1, kind: Namespace, metadata: {name: n, annotations: {policy.weir.io/audit-mode: enabled}}}',
      reasons: [
        `1 metadata.${field('policy.weir.io/audit-mode')}: "policy.weir.io/audit-mode" means nothing here: write it on a Pod, or in spec.template.metadata of a Deployment`,
      ],
    },
    {
      name: 'on the Deployment instead of its template',
      text: deployment('').replace('{name: d}', '{name: d, annotations: {policy.weir.io/audit-mode: enabled}}'),
      reasons: [
        `3 metadata.${field('policy.weir.io/audit-mode')}: "policy.weir.io/audit-mode" means nothing here: write it on a Pod, or in spec.template.metadata of a Deployment`,
      ],
    },
  ];
  for (const { name, text, reasons } of cases) test(name, () => assert.deepEqual(refused(text), reasons));
});

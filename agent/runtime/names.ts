// Names of the pods of a Deployment: the same ones whenever they are asked for, so that a restart finds its pods again.

import { createHash } from 'node:crypto';
import { isOwnAnnotation } from '#mesh-config/kinds/annotations.ts';
import type { DeploymentObject } from '#mesh-config/model.ts';

/** Letters and digits that spell no words and are not mistaken for each other, as Kubernetes uses them. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';
const HASH_LENGTH = 9;
const SUFFIX_LENGTH = 5;
const SUFFIXES = ALPHABET.length ** SUFFIX_LENGTH;
/** Spreads neighbouring indexes; no multiple of 3, as the alphabet's length is, so that no two indexes meet. */
const STRIDE = 7_368_787;

/** "deathstar-6b8f9c7d4-x2k9w": the Deployment, its template's hash, the index's suffix. */
export function podName(deployment: DeploymentObject, index: number): string {
  return `${deployment.name}-${templateHash(deployment.template)}-${suffix(index)}`;
}

/** A short hash of any plain value; equal values, written in the same order, have equal hashes. */
export function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16);
}

// What Weir's own annotations say takes effect on pods that run: their Deployment does not replace them for it.
function templateHash({ labels, annotations: all, spec }: DeploymentObject['template']): string {
  const annotations = Object.fromEntries(Object.entries(all).filter(([key]) => !isOwnAnnotation(key)));
  const digest = createHash('sha256').update(JSON.stringify({ labels, annotations, spec })).digest();
  return [...digest.subarray(0, HASH_LENGTH)].map((byte) => ALPHABET[byte % ALPHABET.length]).join('');
}

function suffix(index: number): string {
  let rest = (index * STRIDE + 1_234_567) % SUFFIXES;
  let text = '';
  for (let i = 0; i < SUFFIX_LENGTH; i++) {
    text += ALPHABET[rest % ALPHABET.length];
    rest = Math.floor(rest / ALPHABET.length);
  }
  return text;
}

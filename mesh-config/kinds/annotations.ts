// Annotations that mean something here. All are under "weir.io" names; those of others are kept and mean nothing.

import { type Report, show } from '../schema/report.ts';
import { didYouMean } from '../schema/suggest.ts';
import type { Path } from '../yaml.ts';

/** On a Pod or a pod template: what the pod's policy denies at L3 and L4 passes, and is reported. */
export const AUDIT_MODE = 'policy.weir.io/audit-mode';

const OF_PODS: readonly string[] = [AUDIT_MODE];
const AUDIT_VALUES: Readonly<Record<string, boolean>> = { enabled: true, disabled: false };

type Annotations = Readonly<Record<string, string>>;

/** Is it a name of Weir's own? */
export function isOwnAnnotation(key: string): boolean {
  const prefix = key.slice(0, Math.max(0, key.indexOf('/')));
  return prefix === 'weir.io' || prefix.endsWith('.weir.io');
}

/** The pod's audit mode. Names of Weir's own that it does not know are refused: a setting must not be lost to a typing error. */
export function lowerPodAnnotations(
  annotations: Annotations,
  { path, report }: { readonly path: Path; readonly report: Report },
): { readonly audit: boolean } {
  for (const key of Object.keys(annotations)) {
    if (!isOwnAnnotation(key) || OF_PODS.includes(key)) continue;
    report.problem([...path, key], `unknown annotation ${show(key)}${didYouMean(key, OF_PODS)}`);
  }
  const written = Object.hasOwn(annotations, AUDIT_MODE) ? annotations[AUDIT_MODE] : undefined;
  if (written === undefined) return { audit: false };
  const audit = Object.hasOwn(AUDIT_VALUES, written) ? AUDIT_VALUES[written] : undefined;
  if (audit === undefined) report.problem([...path, AUDIT_MODE], `${show(written)} is none of "enabled", "disabled"`);
  return { audit: audit ?? false };
}

/** Refuses Weir's own annotations on an object that is no pod: they would mean nothing. */
export function refuseOwnAnnotations(
  annotations: Annotations,
  { path, report }: { readonly path: Path; readonly report: Report },
): void {
  for (const key of Object.keys(annotations).filter(isOwnAnnotation)) {
    const where = 'write it on a Pod, or in spec.template.metadata of a Deployment';
    report.problem([...path, key], `${show(key)} means nothing here: ${where}`);
  }
}

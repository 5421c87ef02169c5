// Labels of identities, each text taken apart once for all that have it.

import { type IdentityLabel, parseIdentityLabel } from '../identity/labels.ts';

/** A label with its text "key=value", by which selectors look for it. */
export interface PooledLabel extends IdentityLabel {
  readonly anchor: string;
}

export interface LabelPool {
  /** The labels "source:key=value", taken apart. */
  take(labels: readonly string[]): readonly PooledLabel[];
  release(labels: readonly PooledLabel[]): void;
}

/** An empty pool. It holds what is taken and not released, nothing else. */
export function createLabelPool(): LabelPool {
  const known = new Map<string, PooledLabel & { readonly text: string; count: number }>();
  return {
    take: (labels) =>
      labels.map((text) => {
        let label = known.get(text);
        if (!label) {
          const { source, key, value } = parseIdentityLabel(text);
          label = { source, key, value, anchor: `${key}=${value}`, text, count: 0 };
          known.set(text, label);
        }
        label.count++;
        return label;
      }),
    release(labels) {
      for (const label of labels as readonly (PooledLabel & { readonly text: string; count: number })[]) {
        if (--label.count === 0) known.delete(label.text);
      }
    },
  };
}

// The metrics that a program registers, seen by making them for nobody.

import { Registry } from 'prom-client';
import type { MetricInfo } from './metrics.ts';

/** What prom-client keeps of a metric; its type is the class. */
interface Registered {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
}

/** Every metric that is registered, in any registry, while `create` runs. */
export function registeredBy(create: () => void): MetricInfo[] {
  const found: MetricInfo[] = [];
  const original = Registry.prototype.registerMetric;
  Registry.prototype.registerMetric = function (metric) {
    const { name, help, labelNames } = metric as unknown as Registered;
    found.push({ name, help, labels: labelNames, type: metric.constructor.name.toLowerCase() });
    return original.call(this, metric);
  };
  try {
    create();
  } finally {
    Registry.prototype.registerMetric = original;
  }
  return found;
}

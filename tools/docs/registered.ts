// The metrics that a program registers, seen by making them for nobody.

import { type Metric, Registry } from 'prom-client';
import type { MetricInfo } from './metrics.ts';

/** What a registry keeps of a metric. One that is not of prom-client's classes says its type and labels by its values. */
interface Registered {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly string[];
  get(): Promise<{ readonly type: string; readonly values: readonly { readonly labels: object }[] }>;
}

/** Every metric that is registered, in any registry, while `create` runs. */
export async function registeredBy(create: () => void): Promise<MetricInfo[]> {
  const found: Registered[] = [];
  const original = Registry.prototype.registerMetric;
  Registry.prototype.registerMetric = function (metric: Metric) {
    found.push(metric as unknown as Registered);
    return original.call(this, metric);
  };
  try {
    create();
  } finally {
    Registry.prototype.registerMetric = original;
  }
  return Promise.all(found.map(describe));
}

async function describe(metric: Registered): Promise<MetricInfo> {
  const { name, help, labelNames } = metric;
  if (labelNames !== undefined) return { name, help, labels: labelNames, type: metric.constructor.name.toLowerCase() };
  const { type, values } = await metric.get();
  const labels = new Set(values.flatMap((value) => Object.keys(value.labels)));
  labels.delete('le'); // every histogram has it
  return { name, help, type, labels: [...labels] };
}

// Reporter of node:test for the suite: one JSON line for each test that starts or ends, read by run-file.ts.

import { inspect } from 'node:util';

/** `depth` counts from 0. `started` comes before the ends of a test's subtests, in the order of the file. */
export type TestRecord =
  | { readonly kind: 'started'; readonly name: string; readonly depth: number }
  | {
      readonly kind: 'ended';
      readonly name: string;
      readonly depth: number;
      readonly outcome: 'passed' | 'failed' | 'skipped';
      readonly isSuite: boolean;
      /** Why it was skipped, or the error with its stack. */
      readonly detail: string;
    };

interface TestEvent {
  readonly type: string;
  readonly data: {
    readonly name: string;
    readonly nesting: number;
    readonly skip?: string | boolean;
    readonly todo?: string | boolean;
    readonly details?: { readonly type?: string; readonly error?: Error & { readonly failureType?: string } };
  };
}

export default async function* records(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const { type, data } of source) {
    const record = toRecord(type, data);
    if (record) yield `${JSON.stringify(record)}\n`;
  }
}

function toRecord(type: string, data: TestEvent['data']): TestRecord | undefined {
  if (type === 'test:start') return { kind: 'started', name: data.name, depth: data.nesting };
  if (type !== 'test:pass' && type !== 'test:fail') return undefined;
  const isSuite = data.details?.type === 'suite';
  const base = { kind: 'ended', name: data.name, depth: data.nesting, isSuite } as const;
  // A test marked as not yet done is no passed test, and it may fail.
  const skip = data.skip ?? data.todo;
  if (skip !== undefined && skip !== false) return { ...base, outcome: 'skipped', detail: skip === true ? '' : skip };
  if (type === 'test:pass') return { ...base, outcome: 'passed', detail: '' };
  const error = data.details?.error;
  // That a subtest failed is said by the subtest.
  const detail = error?.failureType === 'subtestsFailed' ? '' : inspect(error?.cause ?? error);
  return { ...base, outcome: 'failed', detail };
}

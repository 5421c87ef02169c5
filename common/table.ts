// A table of rows with a revision, snapshots and change notification: what sources write and compute reads.

export interface Change<Row> {
  readonly key: string;
  /** undefined: the row is new. */
  readonly before: Row | undefined;
  /** undefined: the row was deleted. */
  readonly after: Row | undefined;
}

export interface ReadonlyTable<Row> {
  readonly name: string;
  readonly size: number;
  get(key: string): Row | undefined;
  values(): IterableIterator<Row>;
  entries(): IterableIterator<[string, Row]>;
  /** Calls `listener` after each change. Returns the function that ends it. */
  subscribe(listener: (change: Change<Row>) => void): () => void;
}

export interface Table<Row> extends ReadonlyTable<Row> {
  set(key: string, row: Row): void;
  delete(key: string): void;
}

/** An empty table. Rows are treated as immutable: a change is a new row. */
export function createTable<Row>(name: string): Table<Row> {
  const rows = new Map<string, Row>();
  const listeners = new Set<(change: Change<Row>) => void>();
  const notify = (change: Change<Row>): void => {
    for (const listener of listeners) listener(change);
  };
  return {
    name,
    get size() {
      return rows.size;
    },
    get: (key) => rows.get(key),
    values: () => rows.values(),
    entries: () => rows.entries(),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    set(key, after) {
      const before = rows.get(key);
      if (before === after) return;
      rows.set(key, after);
      notify({ key, before, after });
    },
    delete(key) {
      const before = rows.get(key);
      if (before === undefined) return;
      rows.delete(key);
      notify({ key, before, after: undefined });
    },
  };
}

// Who has to be told when something changes: a key depends on watches, a watch on nothing.

export interface Watches {
  /** The watches of `key`, before and now. */
  set(key: string, before: ReadonlySet<string> | undefined, after: ReadonlySet<string> | undefined): void;
  /** Calls for every key that has the watch. */
  changed(watch: string): void;
}

/** No watches. */
export function createWatches(onChange: (key: string) => void): Watches {
  const keys = new Map<string, Set<string>>();
  return {
    set(key, before = new Set(), after = new Set()) {
      for (const watch of before.difference(after)) {
        const watching = keys.get(watch);
        watching?.delete(key);
        if (watching?.size === 0) keys.delete(watch);
      }
      for (const watch of after.difference(before)) {
        const watching = keys.get(watch);
        if (watching) watching.add(key);
        else keys.set(watch, new Set([key]));
      }
    },
    changed(watch) {
      for (const key of keys.get(watch) ?? []) onChange(key);
    },
  };
}

// A queue with a fixed number of places.

export interface Ring<T> {
  readonly size: number;
  readonly limit: number;
  /** False: full, nothing was taken. */
  push(item: T): boolean;
  /** Removes and returns at most `count` items, oldest first. */
  take(count: number): T[];
}

/** An empty queue of `limit` places. */
export function createRing<T>(limit: number): Ring<T> {
  const places: (T | undefined)[] = new Array(limit);
  let head = 0; // oldest
  let size = 0;
  return {
    get size() {
      return size;
    },
    limit,
    push(item) {
      if (size === limit) return false;
      places[(head + size++) % limit] = item;
      return true;
    },
    take(count) {
      const items: T[] = [];
      for (; items.length < count && size > 0; size--) {
        items.push(places[head] as T); // size > 0: the place is filled
        places[head] = undefined;
        head = (head + 1) % limit;
      }
      return items;
    },
  };
}

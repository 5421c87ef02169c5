// The outcome of reading something that came from outside: a value, or an error that can be shown.

export type Result<T, E> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: E };

/** A successful result. */
export function ok<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

/** A failed result. */
export function err<E>(error: E): { readonly ok: false; readonly error: E } {
  return { ok: false, error };
}

/** Ends a switch over a union: a compile error while a kind is missing, an exception if one appears at run time. */
export function unreachable(value: never): never {
  throw new Error(`Cannot handle value: unknown kind ${JSON.stringify(value)}`);
}

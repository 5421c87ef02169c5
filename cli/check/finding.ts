// What `weir check` finds out about one thing that Weir needs.

export interface Finding {
  readonly area: 'kernel' | 'bpf' | 'system' | 'privileges' | 'tools';
  readonly name: string;
  /** 'remark': not needed, but good to know. 'unknown': cannot be told without root. */
  readonly state: 'ok' | 'missing' | 'remark' | 'unknown';
  /** What was seen. */
  readonly detail: string;
  /** What to do; '' if nothing. */
  readonly remedy: string;
}

/** A finding about something that has to be there. */
export function needed(
  area: Finding['area'],
  name: string,
  seen: { readonly isThere: boolean | undefined; readonly detail?: string; readonly remedy: string },
): Finding {
  const detail = seen.detail ?? '';
  if (seen.isThere === undefined) return { area, name, state: 'unknown', detail, remedy: 'run `sudo ./weir check`' };
  return {
    area,
    name,
    detail,
    ...(seen.isThere ? { state: 'ok', remedy: '' } : { state: 'missing', remedy: seen.remedy }),
  };
}

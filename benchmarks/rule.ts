// The L7 rule that every peer enforces, and the requests that show that it does.

/** Allowed: GET of a path that this expression matches in full (RE2 syntax, within what PCRE reads the same way). */
export const RULE = { method: 'GET', path: '/api/v[0-9]+/items(/[a-z0-9-]+)?' } as const;

export const ALLOWED_PATH = '/api/v1/items/a-7';
export const DENIED_PATH = '/api/v1/admin';

/** What the origin answers to everything. */
export const REPLY = 'an item of the usual small size, sixty-four bytes of text in all';

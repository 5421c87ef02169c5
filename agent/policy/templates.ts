// Entries without subject and peers, each list kept once however many sets and subjects have it.

import type { Cookie } from '#common/ids.ts';
import type { RuleOrigin } from '../tables.ts';
import { draftKey, type EntryDraft } from './entries.ts';
import type { L4 } from './l4.ts';
import type { EntryKind } from './precedence.ts';

/** What a policy entry says, whoever its subject and peers are. */
export interface EntryTemplate {
  readonly l4: L4;
  readonly key: number; // l4Key
  /** The end of an entry's key: " protocol port bits". */
  readonly suffix: string;
  readonly kind: EntryKind;
  readonly cookie: Cookie;
}

/** The entries of a set of peers. Equal lists are the same list. */
export type Templates = readonly EntryTemplate[];

export interface TemplateStore {
  /** Takes a reference on the list for these drafts; their cookies are held with it. */
  acquire(drafts: readonly EntryDraft[]): Templates;
  /** Takes another reference on a list. False: it is no longer held. */
  hold(templates: Templates): boolean;
  release(templates: Templates): void;
}

/** What to do with the rows of a set when its list becomes another one. */
export interface TemplateDiff {
  readonly set: Templates;
  readonly remove: Templates;
}

interface Held {
  readonly key: string;
  readonly templates: Templates;
  readonly origins: readonly (readonly RuleOrigin[])[];
  references: number;
}

const NONE: Templates = [];

/** An empty store that gets its cookies from `cookies`. */
export function createTemplateStore(cookies: {
  acquire(origins: readonly RuleOrigin[]): Cookie;
  release(origins: readonly RuleOrigin[]): void;
}): TemplateStore {
  const byKey = new Map<string, Held>();
  const byList = new Map<Templates, Held>();
  return {
    acquire(drafts) {
      if (drafts.length === 0) return NONE;
      const templates = drafts.map((draft): EntryTemplate => {
        const { l4, kind } = draft;
        const suffix = ` ${l4.protocol} ${l4.port} ${l4.bits}`;
        return { l4, kind, key: draftKey(draft), suffix, cookie: cookies.acquire(draft.origins) };
      });
      const key = templates
        .map((t) => `${t.key} ${t.kind} ${t.cookie}`)
        .sort()
        .join();
      let held = byKey.get(key);
      if (held) {
        for (const { origins } of drafts) cookies.release(origins);
      } else {
        held = { key, templates, origins: drafts.map((draft) => draft.origins), references: 0 };
        byKey.set(key, held);
        byList.set(templates, held);
      }
      held.references++;
      return held.templates;
    },
    hold(templates) {
      const held = byList.get(templates);
      if (held) held.references++;
      return held !== undefined || templates.length === 0;
    },
    release(templates) {
      if (templates.length === 0) return;
      const held = byList.get(templates);
      if (!held) throw new Error('Cannot release entries: they are not held');
      if (--held.references > 0) return;
      byKey.delete(held.key);
      byList.delete(templates);
      for (const origins of held.origins) cookies.release(origins);
    },
  };
}

/** Compares lists; what was asked before is remembered until the function is forgotten. */
export function createTemplateDiffs(): (before: Templates, after: Templates) => TemplateDiff {
  const known = new Map<Templates, Map<Templates, TemplateDiff>>();
  return (before, after) => {
    const inner = known.get(before) ?? new Map<Templates, TemplateDiff>();
    known.set(before, inner);
    let diff = inner.get(after);
    if (!diff) {
      diff = compare(before, after);
      inner.set(after, diff);
    }
    return diff;
  };
}

function compare(before: Templates, after: Templates): TemplateDiff {
  const old = new Map(before.map((template) => [template.key, template]));
  const set = after.filter((template) => {
    const same = old.get(template.key);
    return !same || same.kind !== template.kind || same.cookie !== template.cookie;
  });
  const kept = new Set(after.map((template) => template.key));
  return { set, remove: before.filter((template) => !kept.has(template.key)) };
}

// The policies in force, compiled, and which of them have to be compiled anew.

import type { PolicyObject } from '#mesh-config/model.ts';
import type { PortNames } from './named-ports.ts';
import { type CompileContext, type CompiledPolicy, type CompiledRule, compilePolicy, releasePolicy } from './rules.ts';
import type { Selection } from './selection.ts';
import { createWatches } from './watches.ts';
import type { World } from './world.ts';

export interface Policies {
  /** Adds, replaces or (undefined) removes a policy; it counts from the next `compile` on. */
  set(key: string, policy: PolicyObject | undefined): void;
  /** Something of world.ts WATCH has changed: the policies that depend on it will be compiled anew. */
  changed(watch: string): void;
  compile(): void;
  rulesOf(key: string): readonly CompiledRule[];
}

/** No policies. */
export function createPolicies(
  parts: Pick<Selection, 'acquire' | 'release' | 'setRules'> & { readonly world: World; readonly ports: PortNames },
): Policies {
  const sources = new Map<string, PolicyObject>();
  const compiled = new Map<string, CompiledPolicy>();
  const dirty = new Set<string>();
  const watches = createWatches((key) => void dirty.add(key));
  let nextId = 1;
  const context: CompileContext = { ...parts, nextId: () => nextId++ };

  const replace = (key: string): void => {
    const before = compiled.get(key);
    const source = sources.get(key);
    // The new one takes what it needs before the old one gives up what it has: what both need stays.
    const after = source && compilePolicy(key, source, context);
    parts.setRules(before?.rules ?? [], false);
    parts.setRules(after?.rules ?? [], true);
    watches.set(key, before?.watches, after?.watches);
    if (before) releasePolicy(before, context);
    if (after) compiled.set(key, after);
    else compiled.delete(key);
  };
  return {
    set(key, policy) {
      if (policy) sources.set(key, policy);
      else sources.delete(key);
      dirty.add(key);
    },
    changed: watches.changed,
    compile() {
      for (const key of dirty) replace(key);
      dirty.clear();
    },
    rulesOf: (key) => compiled.get(key)?.rules ?? [],
  };
}

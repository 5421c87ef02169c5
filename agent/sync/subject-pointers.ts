// Which editions the kernel asks for each subject: the map of subjects. What is set is written by `flush`, with few
// system calls.

import type { EditionUse, SubjectValue } from '#bpf/abi.ts';
import { type Identity, identity } from '#common/ids.ts';
import type { Edition } from './editions.ts';
import type { CountedMap } from './map.ts';
import type { SubjectName } from './policy-subject.ts';

export interface SubjectPointers {
  /** What the map held when this began. */
  adopted(): readonly (readonly [SubjectName, EditionUse])[];
  /** From the next `flush` on the kernel asks `edition` for the subject, and `also` the second one. */
  set(subject: SubjectName, edition: Edition, also: Edition | undefined): void;
  /**
   * Writes what was set. Whose row cannot be written is denied: it has none any more. False: not even that could be
   * done, and somebody may still have what he had; the next `flush` tries again.
   */
  flush(): boolean;
  /** Whether the map says of the subject what was set. */
  isWritten(subject: SubjectName): boolean;
}

const NO_USE: EditionUse = { edition: 0, also: 0, filter: [0, 0, 0, 0, 0, 0, 0, 0] };

/** Pointers in `map`. */
export function createSubjectPointers(map: CountedMap<number, SubjectValue>): SubjectPointers {
  const rows = new Map<Identity, SubjectValue>(map.adopt().map(([number, value]) => [identity(number), value]));
  const inMap = new Set(rows.keys());
  const dirty = new Set<Identity>();
  const adopted = [...rows].flatMap(([id, { ingress, egress }]) => [
    [{ identity: id, direction: 'ingress' } as const, ingress] as const,
    [{ identity: id, direction: 'egress' } as const, egress] as const,
  ]);
  const isNothing = ({ ingress, egress }: SubjectValue): boolean => ingress.edition === 0 && egress.edition === 0;
  const remove = (id: Identity): boolean => inMap.has(id) && map.delete(id) && inMap.delete(id);

  return {
    adopted: () => adopted.filter(([, { edition, also }]) => edition !== 0 || also !== 0),
    set({ identity: id, direction }, edition, also) {
      const { ingress, egress } = rows.get(id) ?? { ingress: NO_USE, egress: NO_USE };
      const before = direction === 'ingress' ? ingress : egress;
      const use = useOf(edition, also);
      if (before.edition === use.edition && before.also === use.also && inMap.has(id)) return;
      const value =
        direction === 'ingress' ? { identity: id, ingress: use, egress } : { identity: id, ingress, egress: use };
      if (isNothing(value)) rows.delete(id);
      else rows.set(id, value);
      dirty.add(id);
    },
    flush() {
      const stuck: Identity[] = [];
      const replaced: [Identity, SubjectValue][] = [];
      const added: [Identity, SubjectValue][] = [];
      for (const id of dirty) {
        const value = rows.get(id);
        if (value) (inMap.has(id) ? replaced : added).push([id, value]);
        else if (inMap.has(id) && !remove(id)) stuck.push(id);
      }
      dirty.clear();
      for (let rest = replaced; rest.length > 0; ) {
        const done = map.replaceMany(rest);
        const failed = rest[done];
        if (failed && !remove(failed[0])) stuck.push(failed[0]);
        rest = rest.slice(done + 1);
      }
      for (let rest = added; rest.length > 0; ) {
        const done = map.addMany(rest);
        for (const [id] of rest.slice(0, done)) inMap.add(id);
        rest = rest.slice(done + 1);
      }
      for (const id of stuck) dirty.add(id);
      return stuck.length === 0;
    },
    isWritten: ({ identity: id }) => !dirty.has(id) && inMap.has(id) === rows.has(id),
  };
}

function useOf(edition: Edition, also: Edition | undefined): EditionUse {
  // Beside an edition without entries nothing else matters.
  if (edition.number === 0 || also?.number === 0) return NO_USE;
  if (!also) return { edition: edition.number, also: 0, filter: edition.filter };
  const filter = edition.filter.map((word, i) => (word | (also.filter[i] ?? 0)) >>> 0);
  return { edition: edition.number, also: also.number, filter };
}

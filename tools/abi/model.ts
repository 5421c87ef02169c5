// What the generated files say, read from the BTF of bpf/abi.c: structs, enums, drop reasons and maps.

import type { Btf, BtfType } from './btf.ts';

/** How a field is stored. */
export type Storage =
  | { readonly kind: 'integer'; readonly bytes: 1 | 2 | 4 | 8; readonly network: boolean }
  | { readonly kind: 'bytes'; readonly length: number }
  | { readonly kind: 'words'; readonly length: number } // of four bytes
  | { readonly kind: 'address' }
  | { readonly kind: 'addresses'; readonly length: number }
  | { readonly kind: 'struct'; readonly name: string };
export interface Field {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
  readonly storage: Storage;
  readonly doc: string | undefined;
}
export interface StructModel {
  readonly name: string;
  readonly size: number;
  readonly fields: readonly Field[];
}
export interface EnumModel {
  readonly name: string;
  readonly values: readonly { readonly name: string; readonly value: number; readonly doc: string | undefined }[];
}
export interface DropModel {
  readonly number: number;
  readonly name: string;
  readonly text: string;
  readonly flowName: string;
  readonly doc: string;
}
export interface MapModel {
  readonly name: string;
  readonly type: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly key: { readonly name: string; readonly size: number };
  readonly value: { readonly name: string; readonly size: number };
  readonly doc: string;
}
export interface Abi {
  readonly structs: readonly StructModel[];
  readonly enums: readonly EnumModel[];
  readonly drops: readonly DropModel[];
  readonly maps: readonly MapModel[];
}

/** Reads the model. Throws where a type cannot be carried over: that is a defect in abi.h. */
export function readAbi(btf: Btf): Abi {
  const members = btf.byName('struct', 'abi').members.map((member) => btf.get(member.type));
  const structs = members.filter(
    (type) => type.kind === 'struct' && !type.name.endsWith('_doc') && type.name !== 'addr',
  );
  const enums = members.filter((type) => type.kind === 'enum' && type.name !== 'drop_reason');
  return {
    structs: structs.map((type) => readStruct(btf, type)),
    enums: enums.map((type) => readEnum(btf, type)),
    drops: readDrops(btf),
    maps: readMaps(btf),
  };
}

function readStruct(btf: Btf, type: BtfType): StructModel {
  let end = 0;
  const fields = type.members.map((member, i): Field => {
    const { storage, size } = readStorage(btf, member.type, `${type.name}.${member.name}`);
    if (member.offset !== end)
      throw new Error(`Cannot generate struct ${type.name}: padding before "${member.name}" is hidden`);
    end += size;
    return { name: member.name, offset: member.offset, size, storage, doc: btf.tag('doc', type.id, i) };
  });
  if (end !== type.sizeOrType) throw new Error(`Cannot generate struct ${type.name}: padding at its end is hidden`);
  return { name: type.name, size: type.sizeOrType, fields };
}

function readStorage(btf: Btf, id: number, where: string): { storage: Storage; size: number } {
  const type = btf.get(id);
  if (type.kind === 'typedef') {
    const { storage, size } = readStorage(btf, type.sizeOrType, where);
    if (type.name.startsWith('__be') && storage.kind === 'integer')
      return { storage: { ...storage, network: true }, size };
    return { storage, size };
  }
  if (type.kind === 'int') {
    return {
      storage: { kind: 'integer', bytes: type.sizeOrType as 1 | 2 | 4 | 8, network: false },
      size: type.sizeOrType,
    };
  }
  if (type.kind === 'array' && type.array !== undefined) {
    const element = readStorage(btf, type.array.element, where);
    const { length } = type.array;
    if (element.storage.kind === 'address') return { storage: { kind: 'addresses', length }, size: length * 16 };
    if (element.size === 4) return { storage: { kind: 'words', length }, size: length * 4 };
    if (element.size === 1) return { storage: { kind: 'bytes', length }, size: length };
  }
  if (type.kind === 'struct' && type.name === 'addr') return { storage: { kind: 'address' }, size: 16 };
  if (type.kind === 'struct') return { storage: { kind: 'struct', name: type.name }, size: type.sizeOrType };
  throw new Error(`Cannot generate ${where}: type ${type.kind} is not supported`);
}

function readEnum(btf: Btf, type: BtfType): EnumModel {
  const shadow = btf.byName('struct', `${type.name}_doc`);
  const values = type.enumerators.map((enumerator) => {
    const component = shadow.members.findIndex((member) => member.name === enumerator.name);
    return { ...enumerator, doc: btf.tag('doc', shadow.id, component) };
  });
  return { name: type.name, values };
}

function readDrops(btf: Btf): DropModel[] {
  const shadow = btf.byName('struct', 'drop_reason_doc');
  const numbers = new Map(btf.byName('enum', 'drop_reason').enumerators.map(({ name, value }) => [name, value]));
  return shadow.members.map((member, i) => {
    const text = (prefix: string): string => btf.tag(prefix, shadow.id, i) ?? '';
    return {
      number: numbers.get(member.name) ?? 0,
      name: member.name,
      text: text('text'),
      flowName: text('flow'),
      doc: text('doc'),
    };
  });
}

function readMaps(btf: Btf): MapModel[] {
  const section = btf.byName('datasec', '.maps');
  return section.members.map((member) => {
    const variable = btf.get(member.type);
    const definition = btf.get(variable.sizeOrType);
    const pointee = (name: string): BtfType | undefined => {
      const field = definition.members.find((candidate) => candidate.name === name);
      return field && btf.get(btf.get(field.type).sizeOrType);
    };
    const number = (name: string): number => pointee(name)?.array?.length ?? 0;
    const shape = (name: string): { name: string; size: number } => {
      const type = pointee(name);
      return type === undefined ? { name: '', size: 0 } : { name: type.name, size: sizeOf(btf, type) };
    };
    return {
      name: variable.name,
      type: number('type'),
      maxEntries: number('max_entries'),
      flags: number('map_flags'),
      key: shape('key'),
      value: shape('value'),
      doc: btf.tag('doc', variable.id, -1) ?? '',
    };
  });
}

function sizeOf(btf: Btf, type: BtfType): number {
  return type.kind === 'typedef' ? sizeOf(btf, btf.get(type.sizeOrType)) : type.sizeOrType;
}

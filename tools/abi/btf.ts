// Reads BTF (BPF type format, Documentation/bpf/btf.rst of the kernel) from a little-endian ELF object.

export interface BtfType {
  readonly id: number;
  readonly kind: string;
  readonly name: string;
  /** Size in bytes (int, struct, union, enum) or the id of the type it refers to. */
  readonly sizeOrType: number;
  readonly members: readonly BtfMember[];
  readonly enumerators: readonly { readonly name: string; readonly value: number }[];
  readonly array: { readonly element: number; readonly length: number } | undefined;
  /** Of a declaration tag: the member it is about, -1: the type itself. */
  readonly component: number;
}
export interface BtfMember {
  readonly name: string;
  readonly type: number;
  readonly offset: number; // bytes
}
export interface Btf {
  readonly types: readonly BtfType[];
  byName(kind: string, name: string): BtfType;
  get(id: number): BtfType;
  /** Texts of the declaration tags "<prefix>:..." on a type (component -1) or one of its members. */
  tag(prefix: string, id: number, component: number): string | undefined;
}

const KINDS = [
  'void',
  'int',
  'ptr',
  'array',
  'struct',
  'union',
  'enum',
  'fwd',
  'typedef',
  'volatile',
  'const',
  'restrict',
  'func',
  'func_proto',
  'var',
  'datasec',
  'float',
  'decl_tag',
  'type_tag',
  'enum64',
];

/** The .BTF section of an ELF object, decoded. Throws if there is none: the object was compiled without -g. */
export function readBtf(elf: Buffer): Btf {
  const section = elfSection(elf, '.BTF');
  if (section === undefined) throw new Error('Cannot read BTF: the object has no .BTF section');
  const headerSize = section.readUInt32LE(4);
  const types = section.subarray(headerSize + section.readUInt32LE(8)).subarray(0, section.readUInt32LE(12));
  const strings = section.subarray(headerSize + section.readUInt32LE(16));
  return index(decodeTypes(types, strings));
}

function index(types: readonly BtfType[]): Btf {
  const tags = new Map<string, string>();
  for (const type of types) {
    if (type.kind !== 'decl_tag') continue;
    const colon = type.name.indexOf(':');
    tags.set(`${type.name.slice(0, colon)} ${type.sizeOrType} ${type.component}`, type.name.slice(colon + 1));
  }
  const get = (id: number): BtfType => {
    const type = types[id];
    if (type === undefined) throw new Error(`Cannot read BTF: no type ${id}`);
    return type;
  };
  return {
    types,
    get,
    byName(kind, name) {
      const found = types.find((type) => type.kind === kind && type.name === name);
      if (found === undefined) throw new Error(`Cannot read BTF: no ${kind} "${name}"`);
      return found;
    },
    tag: (prefix, id, component) => tags.get(`${prefix} ${id} ${component}`),
  };
}

function decodeTypes(bytes: Buffer, strings: Buffer): BtfType[] {
  const text = (offset: number): string => strings.toString('utf8', offset, strings.indexOf(0, offset));
  const empty = { members: [], enumerators: [], array: undefined, component: -1 };
  const types: BtfType[] = [{ id: 0, kind: 'void', name: 'void', sizeOrType: 0, ...empty }];
  let at = 0;
  const u32 = (): number => {
    at += 4;
    return bytes.readUInt32LE(at - 4);
  };
  while (at < bytes.length) {
    const name = text(u32());
    const info = u32();
    const sizeOrType = u32();
    const kind = KINDS[(info >>> 24) & 0x1f] ?? 'unknown';
    const count = info & 0xffff;
    const each = <T>(read: () => T): T[] => Array.from({ length: count }, read);
    const type = { id: types.length, kind, name, sizeOrType, ...empty };
    types.push({ ...type, ...decodeRest(kind, { u32, text, each }) });
  }
  return types;
}

interface Reader {
  u32(): number;
  text(offset: number): string;
  each<T>(read: () => T): T[];
}

function decodeRest(kind: string, { u32, text, each }: Reader): Partial<BtfType> {
  switch (kind) {
    case 'int':
      u32();
      return {};
    case 'array': {
      const element = u32();
      u32();
      return { array: { element, length: u32() } };
    }
    case 'struct':
    case 'union':
      return { members: each(() => ({ name: text(u32()), type: u32(), offset: (u32() & 0xffffff) / 8 })) };
    case 'enum':
      return { enumerators: each(() => ({ name: text(u32()), value: u32() })) };
    case 'func_proto':
      each(() => [u32(), u32()]);
      return {};
    case 'datasec':
      return { members: each(() => ({ name: '', type: u32(), offset: u32() + 0 * u32() })) };
    case 'var':
      u32();
      return {};
    case 'decl_tag':
      return { component: u32() | 0 };
    case 'enum64':
      throw new Error('Cannot read BTF: 64-bit enums are not used here');
    default:
      return {};
  }
}

function elfSection(elf: Buffer, name: string): Buffer | undefined {
  if (elf.readUInt32BE(0) !== 0x7f454c46) throw new Error('Cannot read object: not ELF');
  const table = Number(elf.readBigUInt64LE(40));
  const entrySize = elf.readUInt16LE(58);
  const header = (i: number): Buffer => elf.subarray(table + i * entrySize, table + (i + 1) * entrySize);
  const contents = (h: Buffer): Buffer => {
    const offset = Number(h.readBigUInt64LE(24));
    return elf.subarray(offset, offset + Number(h.readBigUInt64LE(32)));
  };
  const names = contents(header(elf.readUInt16LE(62)));
  for (let i = 0; i < elf.readUInt16LE(60); i++) {
    const start = header(i).readUInt32LE(0);
    if (names.toString('latin1', start, names.indexOf(0, start)) === name) return contents(header(i));
  }
  return undefined;
}

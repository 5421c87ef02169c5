// Prefixes with marks, one family in a tree: what marks lie over a prefix, and which marked prefixes lie below it.

import { type Address, type Cidr, commonBits, covers, masked, UNSPECIFIED } from '#common/ip.ts';

export interface PrefixTree {
  /** Counts one more of `mark` on the prefix. Returns whether it is the first. */
  add(cidr: Cidr, mark: string): boolean;
  /** Counts one less. Returns whether it was the last. */
  remove(cidr: Cidr, mark: string): boolean;
  /** Whether the prefix itself has marks. */
  isMarked(cidr: Cidr): boolean;
  /** Marks of the prefix and of all that cover it. */
  marksOver(cidr: Cidr): ReadonlySet<string>;
  /** Marked prefixes inside the prefix, itself included. */
  below(cidr: Cidr): Iterable<Cidr>;
}

interface Node {
  readonly cidr: Cidr;
  /** Mark -> how often. Empty: the node only joins others. */
  readonly marks: Map<string, number>;
  readonly children: [Node | undefined, Node | undefined];
}

/** An empty tree. */
export function createPrefixTree(): PrefixTree {
  const root: Node = createNode({ address: UNSPECIFIED, bits: 0 });
  return {
    add(cidr, mark) {
      const { marks } = insert(root, cidr);
      const count = marks.get(mark) ?? 0;
      marks.set(mark, count + 1);
      return count === 0;
    },
    remove(cidr, mark) {
      const path = pathTo(root, cidr);
      const node = path.at(-1);
      const count = node?.marks.get(mark) ?? 0;
      if (!node || count === 0) throw new Error(`Cannot remove mark "${mark}": the prefix does not have it`);
      if (count > 1) {
        node.marks.set(mark, count - 1);
        return false;
      }
      node.marks.delete(mark);
      prune(path);
      return true;
    },
    isMarked(cidr) {
      const node = pathTo(root, cidr).at(-1);
      return node !== undefined && isSame(node.cidr, cidr) && node.marks.size > 0;
    },
    marksOver(cidr) {
      const marks = new Set<string>();
      for (const node of pathTo(root, cidr)) for (const mark of node.marks.keys()) marks.add(mark);
      return marks;
    },
    *below(cidr) {
      const last = pathTo(root, cidr).at(-1) ?? root;
      const stack = [isSame(last.cidr, cidr) ? last : last.children[bitAt(cidr.address, last.cidr.bits)]];
      for (let node = stack.pop(); node || stack.length > 0; node = stack.pop()) {
        if (!node || !covers(cidr, node.cidr)) continue;
        if (node.marks.size > 0) yield node.cidr;
        stack.push(...node.children);
      }
    },
  };
}

function createNode(cidr: Cidr): Node {
  return { cidr, marks: new Map(), children: [undefined, undefined] };
}

/** The nodes that cover the prefix, widest first. */
function pathTo(root: Node, cidr: Cidr): Node[] {
  const path: Node[] = [];
  for (let node: Node | undefined = root; node && covers(node.cidr, cidr); ) {
    path.push(node);
    node = node.cidr.bits < cidr.bits ? node.children[bitAt(cidr.address, node.cidr.bits)] : undefined;
  }
  return path;
}

/** The node of exactly this prefix, made if it is not there. */
function insert(root: Node, cidr: Cidr): Node {
  const parent = pathTo(root, cidr).at(-1) ?? root;
  if (isSame(parent.cidr, cidr)) return parent;
  const side = bitAt(cidr.address, parent.cidr.bits);
  const node = createNode(cidr);
  const other = parent.children[side];
  if (!other) {
    parent.children[side] = node;
  } else if (covers(cidr, other.cidr)) {
    node.children[bitAt(other.cidr.address, cidr.bits)] = other;
    parent.children[side] = node;
  } else {
    const bits = Math.min(commonBits(cidr.address, other.cidr.address), cidr.bits, other.cidr.bits);
    const fork = createNode({ address: masked(cidr.address, bits), bits });
    fork.children[bitAt(cidr.address, bits)] = node;
    fork.children[bitAt(other.cidr.address, bits)] = other;
    parent.children[side] = fork;
  }
  return node;
}

/** Takes out nodes at the end of `path` that neither have marks nor join two others. */
function prune(path: readonly Node[]): void {
  for (let i = path.length - 1; i > 0; i--) {
    const [node, parent] = [path[i] as Node, path[i - 1] as Node];
    const [left, right] = node.children;
    if (node.marks.size > 0 || (left && right)) return;
    parent.children[bitAt(node.cidr.address, parent.cidr.bits)] = left ?? right;
  }
}

function isSame(a: Cidr, b: Cidr): boolean {
  return a.bits === b.bits && commonBits(a.address, b.address) >= a.bits;
}

function bitAt(address: Address, bit: number): 0 | 1 {
  return ((address.charCodeAt(bit >> 3) >> (7 - (bit & 7))) & 1) as 0 | 1;
}

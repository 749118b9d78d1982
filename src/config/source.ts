/** YAML text -> plain values that know where in the file they stand. */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { type PathStep, type Position, printable } from './problems.ts';

const MAX_DEPTH = 50;
/** How many values aliases may stand for in all: enough for shared TLS parameters, too few for a bomb. */
const MAX_ALIASED_VALUES = 100_000;

/** A value of the file. */
export interface SourceNode {
  /** As JSON has them: null, booleans, numbers, strings, arrays, plain objects. */
  readonly value: unknown;
  readonly path: readonly PathStep[];
  /** Where the value begins; for an empty value, where its key does. */
  readonly start: Position;
  /** Where its key begins; a list item has none. */
  readonly keyStart: Position | undefined;
  readonly children: ReadonlyMap<PathStep, SourceNode>;
}

export interface SourceProblem {
  readonly path: readonly PathStep[];
  readonly position: Position;
  readonly expected: string;
}

export interface Source {
  /** undefined when the text is not YAML, or holds nothing. */
  readonly root: SourceNode | undefined;
  readonly problems: readonly SourceProblem[];
}

/** Reads one YAML document. A syntax error is the only problem then; others (duplicate keys, odd keys, tags) are all listed. */
export function readSource(text: string): Source {
  const lines = new LineCounter();
  let document: Document.Parsed;
  try {
    // Duplicate keys are found below, where the first one's line is known and the time is not quadratic.
    document = parseDocument(text, { prettyErrors: false, lineCounter: lines, uniqueKeys: false, logLevel: 'error' });
  } catch (error) {
    const why = error instanceof RangeError ? 'it is nested too deeply' : `the YAML reader gave up (${firstLine(String(error))})`;
    return unreadable({ line: 1, col: 1 }, `expected a YAML mapping; ${why}`);
  }
  const place = (offset: number): Position => {
    const { line, col } = lines.linePos(Math.min(offset, text.length));
    return { line: Math.max(line, 1), col: Math.max(col, 1) };
  };
  const [error] = document.errors;
  if (error !== undefined) return unreadable(place(error.pos[0]), syntaxMessage(error.code, error.message));
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) {
    return unreadable({ line: 1, col: 1 }, 'the file is empty; expected a mapping that begins with a key such as listenAddress');
  }
  const reader = new Reader(place);
  for (const warning of document.warnings)
    reader.report([], warning.pos[0], `${firstLine(warning.message)}; write the value without a tag`);
  const root = reader.read(document.contents, [], undefined);
  return { root, problems: reader.problems };
}

/** The node at `path`, or the deepest one on the way there. */
export function nodeAt(root: SourceNode, path: readonly PathStep[]): SourceNode {
  let node = root;
  for (const step of path) {
    const child = node.children.get(step);
    if (child === undefined) return node;
    node = child;
  }
  return node;
}

/** Where a problem at `path` is shown: at the value; for something missing, at the key (or list item) that lacks it. */
export function positionOf(root: SourceNode, path: readonly PathStep[]): Position {
  const node = nodeAt(root, path);
  if (node.path.length === path.length) return node.start;
  return node.path.length === 0 ? { line: 1, col: 1 } : (node.keyStart ?? node.start);
}

class Reader {
  readonly problems: SourceProblem[] = [];
  readonly #place: (offset: number) => Position;
  readonly #anchors = new Map<string, Node>();
  /** The anchored values being read now: an alias to one of them would never end. */
  readonly #open = new Set<Node>();
  #aliasDepth = 0;
  #aliasedValues = 0;

  constructor(place: (offset: number) => Position) {
    this.#place = place;
  }

  report(path: readonly PathStep[], offset: number, expected: string): void {
    this.problems.push({ path, position: this.#place(offset), expected });
  }

  read(node: Node | null, path: readonly PathStep[], keyOffset: number | undefined): SourceNode {
    const range = node?.range ?? undefined;
    const isEmpty = range === undefined || range[0] === range[1];
    const offset = (isEmpty ? keyOffset : range[0]) ?? range?.[0] ?? 0;
    const keyStart = keyOffset === undefined ? undefined : this.#place(keyOffset);
    const leaf = (value: unknown): SourceNode => ({ value, path, start: this.#place(offset), keyStart, children: new Map() });
    const refuse = (expected: string): SourceNode => {
      this.report(path, offset, expected);
      return leaf(null);
    };

    if (path.length > MAX_DEPTH) return refuse(`expected at most ${MAX_DEPTH} levels of nesting`);
    if (this.#aliasDepth > 0 && ++this.#aliasedValues > MAX_ALIASED_VALUES) {
      // One problem is enough, and the walk must end soon.
      if (this.#aliasedValues > MAX_ALIASED_VALUES + 1) return leaf(null);
      return refuse(`expected aliases that stand for at most ${MAX_ALIASED_VALUES} values in all; write the values out`);
    }
    if (node === null) return leaf(null);
    if (isAlias(node)) return this.#readAlias(node.source, path, keyOffset, refuse);
    if (node.anchor !== undefined && this.#aliasDepth === 0) this.#anchors.set(node.anchor, node);
    if (isScalar(node)) {
      const { value } = node;
      const isPlain = value === null || ['string', 'number', 'boolean'].includes(typeof value);
      return isPlain ? leaf(value) : refuse('expected text, a number, true, false, a list or a mapping');
    }

    this.#open.add(node);
    const children = isMap(node)
      ? this.#readPairs(node.items, path)
      : isSeq(node)
        ? this.#readItems(node.items, path)
        : new Map<PathStep, SourceNode>();
    this.#open.delete(node);
    const value = isSeq(node)
      ? [...children.values()].map((child) => child.value)
      : Object.fromEntries([...children].map(([key, child]) => [key, child.value]));
    return { value, path, start: this.#place(offset), keyStart, children };
  }

  #readAlias(name: string, path: readonly PathStep[], keyOffset: number | undefined, refuse: (expected: string) => SourceNode): SourceNode {
    const target = this.#anchors.get(name);
    if (target === undefined) return refuse(`expected a value; there is no anchor &${printable(name.slice(0, 40))} before this alias`);
    if (this.#open.has(target))
      return refuse(`expected a value; the alias *${printable(name.slice(0, 40))} stands inside what it refers to`);
    this.#aliasDepth++;
    const node = this.read(target, path, keyOffset);
    this.#aliasDepth--;
    return node;
  }

  #readPairs(pairs: readonly { readonly key: unknown; readonly value: unknown }[], path: readonly PathStep[]): Map<PathStep, SourceNode> {
    const children = new Map<PathStep, SourceNode>();
    for (const { key, value } of pairs) {
      const offset = offsetOf(key) ?? offsetOf(value) ?? 0;
      if (!isScalar(key) || key.value === null || typeof key.value === 'object') {
        this.report(path, offset, 'expected a plain name as the key');
        continue;
      }
      const name = String(key.value);
      const first = children.get(name);
      if (first !== undefined) {
        this.report([...path, name], offset, `duplicate key; it is given in line ${first.keyStart?.line ?? first.start.line} already`);
        continue;
      }
      children.set(name, this.read(asNode(value), [...path, name], offset));
    }
    return children;
  }

  #readItems(items: readonly unknown[], path: readonly PathStep[]): Map<PathStep, SourceNode> {
    return new Map(items.map((item, index) => [index, this.read(asNode(item), [...path, index], undefined)]));
  }
}

function unreadable(position: Position, expected: string): Source {
  return { root: undefined, problems: [{ path: [], position, expected }] };
}

function syntaxMessage(code: string, message: string): string {
  if (code === 'TAB_AS_INDENT') return 'tabs are not allowed as indentation in YAML; expected spaces';
  if (code === 'MULTIPLE_DOCS') return 'expected one YAML document; a second one begins here';
  return `not valid YAML: ${firstLine(message)}`;
}

function firstLine(text: string): string {
  return printable((text.split('\n', 1)[0] ?? '').slice(0, 200));
}

function asNode(item: unknown): Node | null {
  return isMap(item) || isSeq(item) || isScalar(item) || isAlias(item) ? item : null;
}

function offsetOf(item: unknown): number | undefined {
  return asNode(item)?.range?.[0];
}

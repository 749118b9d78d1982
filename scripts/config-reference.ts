/** Every key of the config file as tables: from the schema that reads the file, so that they say what it accepts. */
import { z } from 'zod';
import { measureOf } from '../src/config/schema/fields.ts';
import { fileSchema } from '../src/config/schema/file.ts';
import { type ChangedBy, changedBy } from './config-changes.ts';
import { markdownTable } from './markdown.ts';

/** One key as the reference tells it. */
export interface DocumentedKey {
  readonly name: string;
  /** From the top of the file: `targetGroups[].queue.timeout`. */
  readonly path: string;
  readonly schema: z.ZodType;
  readonly about: string;
  readonly unit: string;
  readonly range: string;
  /** undefined: the key is required. */
  readonly fallback: string | undefined;
  readonly example: unknown;
  readonly changedBy: ChangedBy;
}

/** A mapping of the file: the top level has the path ''. */
interface Mapping {
  readonly path: string;
  readonly keys: readonly DocumentedKey[];
}

/** One table a mapping, in the order of the file. A mapping that occurs twice is shown where it comes first. */
export function configReference(): string {
  return documentedMappings()
    .map(({ path, keys }) => `### ${headingOf(path)}\n\n${tableOf(keys)}`)
    .join('\n\n');
}

/** Every key of the file. @throws Error for one that is not documented in full */
export function documentedKeys(): readonly DocumentedKey[] {
  return documentedMappings().flatMap(({ keys }) => keys);
}

function documentedMappings(): readonly Mapping[] {
  const mappings = mappingsOf(fileSchema);
  return [...mappings.values()].map(({ path, keys }) => ({
    path,
    keys: Object.entries(keys).map(([name, schema]) => documentedKey(name, path === '' ? name : `${path}.${name}`, schema, mappings)),
  }));
}

interface BareMapping {
  readonly path: string;
  readonly keys: Readonly<Record<string, z.ZodType>>;
}

function mappingsOf(root: z.ZodType): ReadonlyMap<z.ZodType, BareMapping> {
  const mappings = new Map<z.ZodType, BareMapping>();
  const shown = new Set<z.ZodType>();
  const visit = (schema: z.ZodType, path: string): void => {
    if (schema instanceof z.ZodObject && !shown.has(schema)) {
      shown.add(schema);
      const all = Object.entries<z.ZodType>(schema.shape);
      const fresh = all.filter(([, key]) => !shown.has(key));
      // A mapping of keys that all belong to others too is shown in full: it is the only place that says which they are.
      const keys = fresh.length === 0 ? all : fresh;
      mappings.set(schema, { path, keys: Object.fromEntries(keys) });
      for (const [name, key] of keys) {
        shown.add(key);
        visit(key, path === '' ? name : `${path}.${name}`);
      }
    } else for (const part of partsOf(schema)) visit(part, schema instanceof z.ZodArray ? `${path}[]` : path);
  };
  visit(root, '');
  return mappings;
}

function documentedKey(name: string, path: string, schema: z.ZodType, mappings: ReadonlyMap<z.ZodType, BareMapping>): DocumentedKey {
  const { about, fallback } = documentationOf(schema);
  const inside = mappingsIn(schema).map((mapping) => mappings.get(mapping)?.path ?? '');
  const links = inside.map((place) => `[${headingOf(place)}](#${anchorOf(headingOf(place))})`).join(', ');
  const { unit, range } = measureOf(schema) ?? { unit: 'mapping', range: '' };
  const values = [range, links].filter((part) => part !== '').join('; ');
  const examples = schema.meta()?.examples;
  const example: unknown = Array.isArray(examples) ? examples[0] : undefined;
  if (values === '' || example === undefined) throw new Error(`${path} has no range or no example`);
  return { name, path, schema, about, unit, range: values, fallback, example, changedBy: changedBy(path) };
}

/** The mappings that a value of this kind consists of, however it is wrapped. */
function mappingsIn(schema: z.ZodType): readonly z.ZodType[] {
  return schema instanceof z.ZodObject ? [schema] : partsOf(schema).flatMap(mappingsIn);
}

function partsOf(schema: z.ZodType): readonly z.ZodType[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault) return [typed(schema.unwrap())];
  if (schema instanceof z.ZodArray) return [typed(schema.element)];
  return schema instanceof z.ZodUnion ? schema.options.map(typed) : [];
}

function tableOf(keys: readonly DocumentedKey[]): string {
  const rows = keys.map(({ name, about, unit, range, fallback, example, changedBy: how }) => [
    `\`${name}\``,
    about,
    unit,
    range,
    fallback ?? '**required**',
    `\`${JSON.stringify(example)}\``,
    typeof how === 'string' ? how : how.map((rpc) => `\`${rpc}\``).join(', '),
  ]);
  return markdownTable(['key', 'meaning', 'unit', 'values', 'default', 'example', 'changed by'], rows);
}

/** What `documented` wrote: `About. Default: X. Example: Y.` or `About. Required. Example: Y.` */
function documentationOf(schema: z.ZodType): { readonly about: string; readonly fallback: string | undefined } {
  const description = schema.meta()?.description ?? '';
  const parts = /^(?<about>.*?) (?:Default: (?<fallback>.*?)|Required)\. Example: /s.exec(description)?.groups;
  if (parts?.['about'] === undefined) throw new Error(`a key of the schema is not documented: ${description}`);
  return { about: parts['about'], fallback: parts['fallback'] };
}

function headingOf(path: string): string {
  if (path === '') return 'The file';
  return path.endsWith('[]') ? `One of \`${path.slice(0, -2)}\`` : `\`${path}\``;
}

/** As GitHub makes them. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
}

/** zod's own containers are typed by its core, of which every schema made here is a full ZodType. */
function typed(schema: unknown): z.ZodType {
  if (schema instanceof z.ZodType) return schema;
  throw new Error('the schema has a part that zod does not know');
}

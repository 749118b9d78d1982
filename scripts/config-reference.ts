/** Every key of the config file as tables for the README: from the schema that reads the file, so that they say what it accepts. */
import { z } from 'zod';
import { fileSchema } from '../src/config/schema/file.ts';
import { markdownTable } from './markdown.ts';

interface Key {
  readonly name: string;
  readonly schema: z.ZodType;
}

/** A mapping of the file: the top level has the path ''. */
interface Mapping {
  readonly path: string;
  readonly keys: readonly Key[];
}

/** One table a mapping, in the order of the file. A mapping that occurs twice is shown where it comes first. */
export function configReference(): string {
  const mappings = mappingsOf(fileSchema);
  return [...mappings]
    .map(([, { path, keys }]) => `**${path === '' ? 'Top level' : `\`${path}\``}**\n\n${tableOf(keys, mappings)}`)
    .join('\n\n');
}

function mappingsOf(root: z.ZodType): ReadonlyMap<z.ZodType, Mapping> {
  const mappings = new Map<z.ZodType, Mapping>();
  const shown = new Set<z.ZodType>();
  const visit = (schema: z.ZodType, path: string): void => {
    if (schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault) visit(unwrapped(schema), path);
    else if (schema instanceof z.ZodArray) visit(typed(schema.element), `${path}[]`);
    else if (schema instanceof z.ZodUnion) for (const option of schema.options) visit(typed(option), path);
    else if (schema instanceof z.ZodObject && !shown.has(schema)) {
      shown.add(schema);
      const keys = Object.entries<z.ZodType>(schema.shape).map(([name, value]) => ({ name, schema: value }));
      mappings.set(schema, { path, keys: keys.filter((key) => !shown.has(key.schema)) });
      for (const key of keys) {
        shown.add(key.schema);
        visit(key.schema, path === '' ? key.name : `${path}.${key.name}`);
      }
    }
  };
  visit(root, '');
  return mappings;
}

function tableOf(keys: readonly Key[], mappings: ReadonlyMap<z.ZodType, Mapping>): string {
  const rows = keys.map(({ name, schema }) => {
    const { about, fallback } = documentationOf(schema);
    const mapping = mappings.get(unwrapped(schema));
    return [`\`${name}\``, about, mapping === undefined ? valuesOf(schema) : `a mapping: \`${mapping.path}\``, fallback];
  });
  return markdownTable(['key', 'meaning', 'value', 'default'], rows);
}

/** What `documented` wrote: `About. Default: X. Example: Y.` or `About. Required. Example: Y.` */
function documentationOf(schema: z.ZodType): { readonly about: string; readonly fallback: string } {
  const description = schema.meta()?.description ?? '';
  const parts = /^(?<about>.*?) (?:Default: (?<fallback>.*?)|Required)\. Example: /s.exec(description)?.groups;
  if (parts?.['about'] === undefined) throw new Error(`a key of the schema is not documented: ${description}`);
  return { about: parts['about'], fallback: parts['fallback'] ?? '**required**' };
}

/** The schema says itself what it expects, when it is given something else. */
function valuesOf(schema: z.ZodType): string {
  const message = schema.safeParse(null).error?.issues[0]?.message ?? '';
  const expected = /^expected (?<expected>.*), found nothing$/s.exec(message)?.groups?.['expected'];
  if (expected === undefined) throw new Error(`the schema does not say what it expects, but: ${message}`);
  return expected
    .replace(/ with its unit(?:, such as "\w+")?/, '')
    .replace(/^(?<reference>the name of a target group): .*/, '$<reference>')
    .replace(/^a mapping with .*/, 'a mapping, or a list: both below');
}

function unwrapped(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault ? unwrapped(typed(schema.unwrap())) : schema;
}

/** zod's own containers are typed by its core, of which every schema made here is a full ZodType. */
function typed(schema: unknown): z.ZodType {
  if (schema instanceof z.ZodType) return schema;
  throw new Error('the schema has a part that zod does not know');
}

import { z } from 'zod';
import type { PathStep } from './problems.ts';
import { fileSchema } from './schema/file.ts';

/** JSON Schema (draft 2020-12) of the config file as the user writes it: what `lbd schema` prints, and editors complete from. */
export function configJsonSchema(): Readonly<Record<string, unknown>> {
  const schema = z.toJSONSchema(fileSchema, {
    io: 'input',
    // zod leaves out the examples of a type with a transform, as if they were of its output; here they are of the input.
    override: ({ zodSchema, jsonSchema }) => {
      const examples = z.globalRegistry.get(zodSchema)?.examples;
      if (Array.isArray(examples)) jsonSchema.examples = examples;
    },
  });
  return { title: 'Portcullis configuration', ...schema };
}

/** The keys that `schema` knows for the mapping at `path`. */
export function knownKeys(schema: object, path: readonly PathStep[]): readonly string[] {
  let schemas: readonly unknown[] = [schema];
  for (const step of path) {
    schemas = schemas
      .flatMap(alternatives)
      .map((each) => (typeof step === 'number' ? part(each, 'items') : part(part(each, 'properties'), step)));
  }
  return schemas.flatMap(alternatives).flatMap((each) => Object.keys(part(each, 'properties') ?? {}));
}

function alternatives(schema: unknown): readonly unknown[] {
  const anyOf = part(schema, 'anyOf');
  return Array.isArray(anyOf) ? anyOf : [schema];
}

function part(schema: unknown, key: string): object | undefined {
  if (typeof schema !== 'object' || schema === null || !Object.hasOwn(schema, key)) return undefined;
  const value: unknown = Reflect.get(schema, key);
  return typeof value === 'object' && value !== null ? value : undefined;
}

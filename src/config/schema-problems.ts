import type { z } from 'zod';
import { configJsonSchema, knownKeys } from './json-schema.ts';
import { hint, type PathStep } from './problems.ts';
import { nodeAt, positionOf, type SourceNode, type SourceProblem } from './source.ts';

type Issue = z.core.$ZodIssue;

/** What the schema found wrong, each thing at its place in the file. */
export function schemaProblems(root: SourceNode, issues: readonly Issue[]): SourceProblem[] {
  let known: object | undefined;
  const keysAt = (path: readonly PathStep[]) => {
    known ??= configJsonSchema();
    return knownKeys(known, path);
  };
  return issues.flatMap((issue) => problemsOf(root, issue, [], keysAt));
}

type KeysAt = (path: readonly PathStep[]) => readonly string[];

function problemsOf(root: SourceNode, issue: Issue, parent: readonly PathStep[], keysAt: KeysAt): SourceProblem[] {
  const path = [...parent, ...issue.path.map((step) => (typeof step === 'number' ? step : String(step)))];
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(root, path, key, keysAt(path)));
  if (issue.code === 'invalid_union') {
    const meant = issue.errors.find((branch) => !branch.some(isOfAnotherKind));
    if (meant !== undefined) return meant.flatMap((inner) => problemsOf(root, inner, path, keysAt));
  }
  return [{ path, position: positionOf(root, path), expected: issue.message }];
}

/** The value as a whole is not what this branch of the union is for: a text where it wants a mapping. */
function isOfAnotherKind(issue: Issue): boolean {
  return issue.code === 'invalid_type' && issue.path.length === 0;
}

function unknownKey(root: SourceNode, path: readonly PathStep[], key: string, keys: readonly string[]): SourceProblem {
  const node = nodeAt(root, [...path, key]);
  return {
    path: [...path, key],
    position: node.keyStart ?? node.start,
    expected: `unknown key${hint(key, keys)}; expected one of ${keys.join(', ')}`,
  };
}

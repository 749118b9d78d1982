/** Fills in the parts of README.md and docs/ that come from the code. `node scripts/readme.ts` writes them; a test fails when they are out of date. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { NEEDED_ROLE } from '../src/admin/roles.ts';
import { CLOSE_REASONS, REASON_MEANING, REFUSAL_REASONS } from '../src/domain/reasons.ts';
import { ROLES } from '../src/domain/roles.ts';
import { configReference } from './config-reference.ts';
import { lbctlReference } from './lbctl-reference.ts';
import { maglevFigures } from './maglev-figures.ts';
import { markdownTable } from './markdown.ts';

const ROOT = path.join(import.meta.dirname, '..');

/** The pages that have parts from the code, from the root of the repository. */
export const PAGES = ['README.md', 'docs/configuration.md', 'docs/balancing.md'] as const;

const SECTIONS: ReadonlyMap<string, () => string> = new Map([
  ['every config key', configReference],
  ['every lbctl command', lbctlReference],
  ['why a connection was refused', () => reasonTable(REFUSAL_REASONS)],
  ['why a connection ended', () => reasonTable(CLOSE_REASONS)],
  ['which role opens which method', roleTable],
  ['how even and how stable the Maglev tables are', maglevFigures],
]);

const MARKED = /(?<begin><!-- from the code: (?<name>[^\n]+?) -->\n)[\s\S]*?(?<end><!-- end -->)/g;

/** The text with each `<!-- from the code: NAME -->` part made anew. NAME is a section of this file, or a file to show. @throws Error for another */
export function fillIn(page: string): string {
  return page.replace(MARKED, (_, begin: string, name: string, end: string) => `${begin}${contentOf(name)}\n${end}`);
}

function contentOf(name: string): string {
  const section = SECTIONS.get(name);
  if (section !== undefined) return section();
  if (!/^examples\/[\w-]+\.(?:ts|mjs|yaml)$/.test(name)) throw new Error(`a page wants "${name}", which no script makes`);
  const text = readFileSync(path.join(ROOT, name), 'utf8');
  return `\`\`\`${path.extname(name).slice(1)}\n${text.trimEnd()}\n\`\`\``;
}

function reasonTable(reasons: readonly (keyof typeof REASON_MEANING)[]): string {
  return markdownTable(
    ['reason', 'meaning'],
    reasons.map((reason) => [`\`${reason}\``, REASON_MEANING[reason]]),
  );
}

/** A row for each method, a column for each role. */
function roleTable(): string {
  const rows = [...NEEDED_ROLE].map(([method, needed]) => [
    `\`${method.slice(1)}\``,
    ...ROLES.map((role) => (ROLES.indexOf(role) >= ROLES.indexOf(needed) ? 'yes' : '')),
  ]);
  return markdownTable(['method', ...ROLES], rows);
}

if (import.meta.main) {
  for (const page of PAGES) {
    const file = path.join(ROOT, page);
    writeFileSync(file, fillIn(readFileSync(file, 'utf8')));
  }
}

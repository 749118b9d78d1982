/** `npm run gen`: makes src/gen from proto/, the TypeScript with ts-proto and the descriptor set that reflection serves. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '..');

/** Writes `src/gen` under `root` (the checkout, or a folder to compare with). @throws Error when buf refuses the contract. */
export function generate(root: string): void {
  const buf = (...args: readonly string[]) => execFileSync('buf', args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
  // Cleans src/gen first, so the descriptor set comes after it.
  buf('generate', '--output', root);
  buf('build', '--as-file-descriptor-set', '--output', path.join(root, 'src/gen/descriptors.binpb'));
}

if (import.meta.main) generate(ROOT);

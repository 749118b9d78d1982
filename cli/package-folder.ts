import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

interface PackageFolder {
  readonly folder: string;
  readonly version: string;
}

/** The folder of the portcullis package this file is in: the checkout, or what was installed (where this file is under `dist/`). */
export function findPackage(): PackageFolder {
  for (let folder = path.dirname(fileURLToPath(import.meta.url)); ; folder = path.dirname(folder)) {
    const version = versionIn(folder);
    if (version !== undefined) return { folder, version };
    if (folder === path.dirname(folder)) throw new Error('lbctl is not inside the portcullis package; install it again');
  }
}

function versionIn(folder: string): string | undefined {
  const manifestPath = path.join(folder, 'package.json');
  if (!existsSync(manifestPath)) return undefined;
  const manifest: unknown = JSON.parse(readFileSync(manifestPath, 'utf8'));
  if (typeof manifest !== 'object' || manifest === null) return undefined;
  if (!('name' in manifest) || manifest.name !== 'portcullis') return undefined;
  return 'version' in manifest && typeof manifest.version === 'string' ? manifest.version : undefined;
}

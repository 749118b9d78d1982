import { existsSync } from 'node:fs';

/** The folder of this package, with a slash at its end: the checkout, or where the package is installed. */
export function packageFolder(): URL {
  let folder = new URL('.', import.meta.url);
  while (!existsSync(new URL('package.json', folder))) {
    const parent = new URL('..', folder);
    if (parent.href === folder.href) throw new Error('package.json is missing: the installation is not complete');
    folder = parent;
  }
  return folder;
}

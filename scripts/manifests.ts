/** What package.json and its lock must keep to, so that every checkout installs the same thing everywhere. */
import { lineOf } from './source-text.ts';
import type { SourceTree, Violation } from './walls.ts';

const EXACT = /^\d+\.\d+\.\d+(?:-[\w.]+)?$/;
const DEPENDENCY_KINDS = ['dependencies', 'devDependencies', 'optionalDependencies'] as const;

/** Checks the manifests that the tree has. */
export function checkManifests(tree: SourceTree): readonly Violation[] {
  return [...checkVersions('package.json', tree.get('package.json')), ...checkLock('package-lock.json', tree.get('package-lock.json'))];
}

function checkVersions(file: string, text: string | undefined): readonly Violation[] {
  if (text === undefined) return [];
  const manifest = record(JSON.parse(text));
  return DEPENDENCY_KINDS.flatMap((kind) =>
    Object.entries(record(manifest[kind]))
      .filter(([, version]) => typeof version !== 'string' || !EXACT.test(version))
      .map(([name, version]) => ({
        file,
        line: lineOf(text, text.indexOf(`"${name}"`, text.indexOf(`"${kind}"`))),
        what: `${name} is ${JSON.stringify(version)}`,
        reason: 'versions are exact: an upgrade is a commit that can be read and reverted',
      })),
  );
}

function checkLock(file: string, text: string | undefined): readonly Violation[] {
  if (text === undefined) return [];
  const violations: Violation[] = [...text.matchAll(/"resolved"/g)].map(({ index }) => ({
    file,
    line: lineOf(text, index),
    what: 'names a registry ("resolved")',
    reason: 'each machine installs from the registry it is configured for (.npmrc: omit-lockfile-registry-resolved)',
  }));
  const packages = record(record(JSON.parse(text))['packages']);
  for (const [place, entry] of Object.entries(packages)) {
    for (const name of Object.keys(record(record(entry)['optionalDependencies']))) {
      if (isLocked(packages, place, name)) continue;
      violations.push({
        file,
        line: lineOf(text, text.indexOf(`"${place}"`)),
        what: `has no entry for ${name}, an optional dependency of ${place}`,
        reason: 'npm ci refuses a lock that leaves out the packages of other platforms',
      });
    }
  }
  return violations;
}

/** As Node resolves it: beside the package, or in a node_modules further up. */
function isLocked(packages: Readonly<Record<string, unknown>>, place: string, name: string): boolean {
  for (let folder = place; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
    if (`${folder === '' ? '' : `${folder}/`}node_modules/${name}` in packages) return true;
    if (folder === '') return false;
  }
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

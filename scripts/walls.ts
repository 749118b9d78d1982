/** The walls of the house: who may import whom, and which words stay where. Each violation says why. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { checkManifests } from './manifests.ts';
import { type ImportedModule, importedModules, lineOf, readSource, type SourceText } from './source-text.ts';

export interface Violation {
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
  readonly what: string;
  readonly reason: string;
}

/** Relative path with forward slashes -> text. */
export type SourceTree = ReadonlyMap<string, string>;

/** Which rooms of the house a room may import from; packages and node: modules are another matter. */
interface Room {
  readonly name: string;
  readonly holds: (file: string) => boolean;
  readonly mayImport: readonly string[];
  readonly reason: string;
}

const within = (folder: string) => (file: string) => file.startsWith(`${folder}/`);
const anyOf =
  (...files: readonly string[]) =>
  (file: string) =>
    files.includes(file);

/** The first room that holds a file is its room. A room may always import from itself. */
const ROOMS: readonly Room[] = [
  {
    name: 'domain',
    holds: within('src/domain'),
    mayImport: [],
    reason: 'the domain is the ground floor: it can be read, tested and reused without anything else of the house',
  },
  {
    name: 'shared',
    holds: within('src/shared'),
    mayImport: ['domain'],
    reason: 'both sides of the thread wall stand on shared, so it stands on nothing but the domain',
  },
  {
    name: 'dataplane',
    holds: within('src/dataplane'),
    mayImport: ['shared', 'domain'],
    reason: 'a connection never waits for the store, the main thread or a file: workers know only what crosses the thread wall',
  },
  {
    name: 'controlplane',
    holds: within('src/controlplane'),
    mayImport: ['shared', 'domain'],
    reason: 'the main thread speaks to workers in messages and shared memory alone, so a worker can die and be replaced',
  },
  {
    name: 'config',
    holds: within('src/config'),
    mayImport: ['domain'],
    reason: 'the file is read and checked before anything runs, and by `lbd check` without anything running',
  },
  {
    name: 'gen',
    holds: within('src/gen'),
    mayImport: [],
    reason: 'generated code is made anew from proto/, which knows nothing of this house',
  },
  {
    name: 'admin',
    holds: within('src/admin'),
    mayImport: ['controlplane', 'domain', 'gen'],
    reason: 'the admin server asks the control plane; what it could do past it, nobody would be told of',
  },
  {
    name: 'metrics',
    holds: within('src/metrics'),
    mayImport: ['controlplane', 'shared', 'domain'],
    reason: 'metrics read what is counted anyway, so that nothing depends on whether somebody reads them',
  },
  {
    name: 'admin-client',
    holds: anyOf('src/admin-client.ts'),
    mayImport: ['gen'],
    reason: 'the client of the admin API is loaded by other services, which must not get a load balancer with it',
  },
  {
    name: 'quickstart',
    holds: within('src/quickstart'),
    mayImport: ['config', 'domain', 'certs'],
    reason: 'the quickstart is handed the daemon as a function, so it shows only what every user can do',
  },
  {
    name: 'main',
    holds: anyOf('src/main.ts'),
    mayImport: ['daemon', 'library', 'quickstart', 'config', 'shared', 'domain'],
    reason: 'main is the command line: what runs is put together in daemon.ts, and can be started without a process of its own',
  },
  {
    name: 'daemon',
    holds: anyOf('src/daemon.ts', 'src/service.ts', 'src/service-manager.ts', 'src/takeover.ts', 'src/start-errors.ts'),
    mayImport: ['library', 'quickstart', 'admin', 'metrics', 'config', 'controlplane', 'shared', 'domain'],
    reason: 'the daemon is the library and the admin server; connections and wire types are theirs',
  },
  {
    name: 'library',
    holds: (file) => /^src\/[^/]+\.ts$/.test(file),
    mayImport: ['config', 'controlplane', 'dataplane', 'shared', 'domain'],
    reason: 'the library is the balancer without the admin server and without the daemon around it',
  },
  {
    name: 'cli',
    holds: within('cli'),
    mayImport: ['gen'],
    reason: 'lbctl is a client like any other: what it needs of the daemon must be in the contract',
  },
  {
    name: 'certs',
    holds: within('certs'),
    mayImport: [],
    reason: 'the development CA is a tool beside the product, for tests too',
  },
];

interface WordWall {
  readonly word: RegExp;
  readonly applies: (file: string) => boolean;
  readonly reason: string;
}

const PROGRAMS = anyOf(
  'src/main.ts',
  'cli/main.ts',
  'certs/development-ca.ts',
  'src/quickstart/sample-servers.ts',
  'src/quickstart/sample-client.ts',
);

const WORD_WALLS: readonly WordWall[] = [
  {
    word: /\b(?:Atomics|SharedArrayBuffer)\b/g,
    applies: (file) => !within('src/shared/memory')(file),
    reason: 'src/shared/memory/ alone touches shared memory: a layout that is known all over the house is a layout that nobody knows',
  },
  {
    word: /\bprocess\.(?:exit|exitCode|env|abort)\b/g,
    applies: (file) => !PROGRAMS(file),
    reason: 'only the entry of a program reads the environment and ends the process; everything else can be embedded',
  },
  {
    word: /\b(?:Date\.now|performance\.now|Math\.random|setTimeout|setInterval|setImmediate|queueMicrotask|fetch|console\.\w+|process\.\w+)\b|\bnew Date\(\s*\)/g,
    applies: within('src/domain'),
    reason: 'the domain has no clock, no chance, no timer and no output: time comes in as nowMs, chance as an argument',
  },
  {
    word: /\.compareAndSet\(/g,
    applies: (file) => file !== 'src/controlplane/authority.ts' && !file.startsWith('src/controlplane/store/'),
    reason: 'only authority.ts changes state: one door, so that every change is checked, kept, published and audited',
  },
];

/** Every breach of a wall, in the order of files and lines. */
export function findViolations(tree: SourceTree): readonly Violation[] {
  const violations: Violation[] = [];
  for (const [file, text] of tree) {
    if (file === 'package.json' || file === 'package-lock.json') continue;
    const room = roomOf(file);
    if (room === undefined) continue;
    const source = readSource(text);
    for (const imported of importedModules(source)) violations.push(...checkImport(file, room, imported));
    if (room.name !== 'gen') violations.push(...checkWords(file, source));
  }
  violations.push(...checkManifests(tree));
  return violations.sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line);
}

function roomOf(file: string): Room | undefined {
  return ROOMS.find(({ holds }) => holds(file));
}

function checkImport(file: string, room: Room, { specifier, line, names }: ImportedModule): readonly Violation[] {
  if (!specifier.startsWith('.')) {
    if (room.name !== 'domain') return [];
    return [
      {
        file,
        line,
        what: `the domain imports ${specifier}`,
        reason: 'the domain is pure: no package, no node: module, no input or output',
      },
    ];
  }
  const target = path.posix.join(path.posix.dirname(file), specifier);
  const violations: Violation[] = [];
  const targetRoom = roomOf(target);
  if (targetRoom === undefined) {
    violations.push({
      file,
      line,
      what: `${room.name} imports ${target}`,
      reason: 'tests, scripts and benchmarks are not part of the product',
    });
  } else if (targetRoom !== room && !room.mayImport.includes(targetRoom.name)) {
    const allowed = room.mayImport.length === 0 ? 'nothing else of the house' : room.mayImport.join(', ');
    violations.push({ file, line, what: `${room.name} imports ${target}; it may import ${allowed}`, reason: room.reason });
  }
  if (target === 'src/domain/state.ts' && names.includes('apply') && !mayApply(file)) {
    const reason =
      'only authority.ts changes state; a worker repeats what was published, a store what it kept, and nobody else has a snapshot';
    violations.push({ file, line, what: `${file} imports apply`, reason });
  }
  return violations;
}

function mayApply(file: string): boolean {
  return (
    file === 'src/controlplane/authority.ts' ||
    ['src/domain/', 'src/dataplane/', 'src/controlplane/store/'].some((folder) => file.startsWith(folder))
  );
}

function checkWords(file: string, { codeOnly }: SourceText): readonly Violation[] {
  return WORD_WALLS.filter(({ applies }) => applies(file)).flatMap(({ word, reason }) =>
    [...codeOnly.matchAll(word)].map((match) => ({ file, line: lineOf(codeOnly, match.index), what: `says ${match[0]}`, reason })),
  );
}

/** The product's sources and manifests in the checkout at `root`. */
export function readTree(root: string): SourceTree {
  const files = ['src', 'cli', 'certs'].flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => path.posix.join(folder, name.replaceAll(path.sep, '/'))),
  );
  return new Map([...files.sort(), 'package.json', 'package-lock.json'].map((file) => [file, readFileSync(path.join(root, file), 'utf8')]));
}

if (import.meta.main) {
  const tree = readTree(path.join(import.meta.dirname, '..'));
  const violations = findViolations(tree);
  for (const { file, line, what, reason } of violations) console.error(`${file}:${line}: ${what}\n    because ${reason}`);
  console.log(`${tree.size} files, ${violations.length} violations`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}

// Starts one of the package's programs on a Node.js that is new enough. Syntax and modules as of Node.js 12: it must run there
// to say what is missing.
'use strict';

const childProcess = require('child_process');
const fs = require('fs');
const nodeModule = require('module');
const os = require('os');
const path = require('path');
const url = require('url');
const { allocatorSettings, beginAgainWithSettings } = require('./allocator.cjs');

const OLDEST_MAJOR = 24;
const ROOT = path.join(__dirname, '..');

/**
 * `isShort`: the program is over so soon that most of its time would go into compiling it, so what is compiled is kept.
 * `holdsConnections`: it stays, and memory counts.
 */
module.exports = (name, program, { isShort, holdsConnections }) => {
  // Until the program listens to it, a SIGHUP would end it. It asks for what a program does that begins: to read its files.
  if (holdsConnections) process.on('SIGHUP', () => undefined);
  const entry = entryOf(program);
  const cache = isShort ? cacheFolder(name) : undefined;
  if (majorOf(process.versions.node) >= OLDEST_MAJOR) {
    if (holdsConnections) beginAgainWithSettings();
    // The program sees itself named, as if it had been started without a launcher.
    process.argv[1] = entry;
    if (cache !== undefined) nodeModule.enableCompileCache(cache);
    import(url.pathToFileURL(entry).href);
    return;
  }
  const newer = findNewerNode();
  if (newer !== undefined) {
    const added = Object.assign({}, cache && { NODE_COMPILE_CACHE: cache }, holdsConnections && allocatorSettings());
    runOn(newer, entry, Object.assign(added, process.env), holdsConnections);
    return;
  }
  const remedy = `upgrade it, or run "npm install node@26.10.0 --allow-scripts=node" where ${name} is installed`;
  console.error(`${name} needs Node.js ${OLDEST_MAJOR} or newer, and this is ${process.version}: ${remedy}`);
  process.exitCode = 2;
};

/** A checkout has the sources, which run as they are; an installed package has only what was compiled from them. */
function entryOf(program) {
  const source = path.join(ROOT, `${program}.ts`);
  return fs.existsSync(source) ? source : path.join(ROOT, 'dist', `${program}.js`);
}

/** The `node` package, an optional dependency, brings a Node.js: in this package's node_modules or in that of a folder above. */
function findNewerNode() {
  for (let folder = ROOT; ; folder = path.dirname(folder)) {
    const home = path.join(folder, 'node_modules', 'node');
    const executable = path.join(home, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
    if (
      fs.existsSync(executable) &&
      majorOf(JSON.parse(fs.readFileSync(path.join(home, 'package.json'), 'utf8')).version) >= OLDEST_MAJOR
    ) {
      return executable;
    }
    if (folder === path.dirname(folder)) return undefined;
  }
}

/** The user's own, unlike the one in /tmp that is Node.js's default: what is in it is run. */
function cacheFolder(name) {
  const configured = process.env.XDG_CACHE_HOME;
  try {
    const caches = configured && path.isAbsolute(configured) ? configured : path.join(os.homedir(), '.cache');
    const folder = path.join(caches, name);
    // One by one: Node.js making a path at once tries for ever where nothing can be made, such as in /proc.
    for (const each of [caches, folder]) if (!fs.existsSync(each)) fs.mkdirSync(each, { mode: 0o700 });
    return folder;
  } catch {
    // A user without a home folder, or without the right to write there, does without.
    return undefined;
  }
}

function majorOf(version) {
  return Number(version.split('.')[0]);
}

/**
 * Runs the entry there, with the options that this Node.js was given, passes signals on, and ends as it ends.
 * `saysWhenItListens`: it sends a message once SIGHUP does not end it any more; until then it gets none.
 */
function runOn(executable, entry, env, saysWhenItListens) {
  closeInspector();
  const stdio = ['inherit', 'inherit', 'inherit', 'ipc'];
  const child = childProcess.spawn(executable, process.execArgv.concat(entry, process.argv.slice(2)), { env, stdio });
  // A terminal sends Ctrl-C to the child too. Passed on, it would arrive twice, and a second one means "at once".
  const atTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  let hearsHangups = !saysWhenItListens;
  child.once('message', () => {
    hearsHangups = true;
  });
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGUSR2']) {
    process.on(signal, () => {
      if (signal === 'SIGHUP' ? hearsHangups : signal !== 'SIGINT' || !atTerminal) child.kill(signal);
    });
  }
  child.on('error', (error) => {
    console.error(`${executable} does not run: ${error.message}`);
    process.exit(2);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** With --inspect this process has the port, and the program that is to be debugged would end for want of it. */
function closeInspector() {
  try {
    require('inspector').close();
  } catch {
    // This Node.js was built without.
  }
}

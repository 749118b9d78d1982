// How glibc's allocator is told to spare memory in a process that holds many connections. It reads its settings from the
// environment, once, when a process begins; other C libraries ignore them. Syntax and modules as of Node.js 12, as in launch.cjs.
'use strict';

const fs = require('fs');

// TLS sockets hold buffers of 16 KB and more, of which few pages are ever used. From this size on each is mapped by itself: only
// the pages that are used count, and all of them are given back with it. The bound leaves half of the maps that a process may
// have (vm.max_map_count, 65,530) to everything else: beyond those V8 could not map any more.
const SETTINGS = { MALLOC_MMAP_THRESHOLD_: '16384', MALLOC_MMAP_MAX_: '32768' };
/** Who has set one of these, even to nothing, has decided: about these settings, or by preloading for another allocator. */
const DECIDED_BY = ['MALLOC_MMAP_THRESHOLD_', 'MALLOC_MMAP_MAX_', 'GLIBC_TUNABLES', 'LD_PRELOAD'];
/** Marks a process that has begun again. The settings do not: glibc takes them from the environment of a program with capabilities (setcap). */
const BEGUN_AGAIN = 'LBD_BEGUN_AGAIN';
/** Node.js has these closed when the process begins again, if it was given them; those above, unless there is no gap between. */
const [FIRST_LOST, LAST_LOST] = [3, 16];

/** What to put into the environment of a process that is to have the settings; nothing where they are not for us to choose. */
exports.allocatorSettings = () => (isDecided() ? {} : SETTINGS);

/**
 * Begins this process again with the settings: same id, same arguments, same standard streams, so nobody outside sees a difference.
 * Returns where that is not to be, or cannot be: the process then goes on as it is.
 */
exports.beginAgainWithSettings = () => {
  if (isDecided() || BEGUN_AGAIN in process.env || typeof process.execve !== 'function') return;
  // The program that comes after would not know of its channel to the parent.
  if (process.connected !== undefined || isWatched()) return;
  try {
    if (wasGivenDescriptors()) return;
    // Older versions of Node.js abort where the program cannot be executed, such as after an upgrade has removed it.
    fs.accessSync(process.execPath, fs.constants.X_OK);
    const args = [process.argv0].concat(process.execArgv, process.argv.slice(1));
    process.execve(process.execPath, args, Object.assign({ [BEGUN_AGAIN]: '1' }, process.env, SETTINGS));
  } catch {
    // Not permitted: memory is all that it costs.
  }
};

function isDecided() {
  return process.platform !== 'linux' || DECIDED_BY.some((name) => name in process.env);
}

/**
 * Whether a profiler or a debugger looks at this process. A signal of the profiler's that is under way would end the program that comes
 * after, which does not expect it yet; the debugger would be cut off, and would not know where to connect to that one.
 */
function isWatched() {
  const options = process.execArgv.concat((process.env.NODE_OPTIONS || '').split(/[\s"]+/));
  return options.some((option) => /^--(prof|cpu.prof|heap.prof|inspect)/.test(option));
}

/** Whether there are descriptors that a path such as /dev/fd/3 can name, in the arguments or the configuration. */
function wasGivenDescriptors() {
  const open = fs
    .readdirSync('/proc/self/fd')
    .map((name) => ({ number: Number(name), target: targetOf(name) }))
    .filter(({ number }) => number >= FIRST_LOST);
  // Node.js itself has none of files and sockets, and of its pipes it has both ends.
  const isGiven = ({ target }) =>
    /^(\/(?!dev\/)|socket:)/.test(target) || (target.startsWith('pipe:') && open.filter((each) => each.target === target).length === 1);
  return open.some((each) => each.number <= LAST_LOST && isGiven(each));
}

/** Empty for the one that the folder was read by. */
function targetOf(descriptor) {
  try {
    return fs.readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return '';
  }
}

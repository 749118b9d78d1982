/** What a process and its children cost, from /proc: CPU time and memory. */
import { readdirSync, readFileSync } from 'node:fs';

/** USER_HZ of every Linux that Node.js runs on. */
const TICKS_PER_SECOND = 100;

/** CPU time so far of the process, its children and all their threads, in milliseconds of user and system time. */
export function cpuMs(pid: number): number {
  return family(pid).reduce((sum, each) => sum + (exactCpuMs(each) ?? tickedCpuMs(each)), 0);
}

/** Proportional set size of the process and its children in KB: what they share with others counts in parts. */
export function memoryKb(pid: number): number {
  return family(pid).reduce((sum, each) => sum + Number(/^Pss:\s+(\d+) kB/m.exec(proc(each, 'smaps_rollup'))?.[1] ?? 0), 0);
}

/** The scheduler's nanoseconds of each thread, where the kernel keeps them: ticks are too coarse for short rounds. */
function exactCpuMs(pid: number): number | undefined {
  const times = threadsOf(pid).map((thread) => Number(proc(pid, `task/${thread}/schedstat`).split(' ')[0]) / 1e6);
  const sum = times.reduce((total, each) => total + each, 0);
  return sum > 0 ? sum : undefined;
}

/** proc(5): utime and stime are fields 14 and 15; the name before them may have blanks. */
function tickedCpuMs(pid: number): number {
  const fields = proc(pid, 'stat')
    .replace(/^.*\) /s, '')
    .split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}

/** The process and what descends from it. */
function family(pid: number): readonly number[] {
  const children = threadsOf(pid).flatMap((thread) => proc(pid, `task/${thread}/children`).split(' '));
  return [
    pid,
    ...children
      .filter((text) => text.trim() !== '')
      .map(Number)
      .flatMap(family),
  ];
}

/** None when the process has just ended. */
function threadsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** Empty when there is no such file, or its thread has just ended. */
function proc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

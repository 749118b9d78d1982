import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ServerWritableStream } from '@grpc/grpc-js';
import { WatchStatsResponse } from '../../src/gen/lb/admin/v1/admin.ts';
import { faultyLink } from '../support/faulty-link.ts';
import { lbctl } from '../support/lbctl.ts';
import { startScriptedAdmin } from '../support/scripted-admin.ts';

const MAIN = path.join(import.meta.dirname, '../../cli/main.ts');
const LEFT = '\u001b[?25h\u001b[?1049l';
const hasScript = spawnSync('script', ['--version']).status === 0;
const options = { skip: hasScript ? false : 'there is no script(1) of util-linux here' };

const watchStats = (call: ServerWritableStream<unknown, WatchStatsResponse>) => {
  for (const second of [1, 2]) {
    const counters = { active: 3n, accepted: BigInt(second * 10) };
    call.write(
      WatchStatsResponse.fromPartial({ at: new Date(second * 1_000), revision: 5n, clients: [{ clientId: 'clientA', counters }] }),
    );
  }
};

/** `top` in a pseudo-terminal of 80 by 24, whose settings are printed before and after. */
async function inTerminal(t: TestContext, ...args: readonly string[]) {
  const env = await startScriptedAdmin(t, { watchStats });
  const link = await faultyLink(t, Number(env['LBCTL_ADDR']?.split(':').at(-1)));
  const top = [process.execPath, MAIN, 'top', '--addr', link.address, '--server-name', 'localhost', ...args].map((word) => `'${word}'`);
  const story = `stty rows 24 cols 80; echo before $(stty -g); ${top.join(' ')}; echo code $?; echo after $(stty -g)`;
  const child = spawn('script', ['-qec', story, '/dev/null'], { env: { ...process.env, ...env, HOME: '/nonexistent', SHELL: '/bin/sh' } });
  t.after(() => child.kill('SIGKILL'));
  const screen = new Screen(child);
  return { child, link, screen };
}

class Screen {
  text = '';
  readonly #ended: Promise<unknown>;
  #changed = Promise.withResolvers<void>();

  constructor(child: ChildProcess) {
    this.#ended = once(child, 'close');
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      this.text += chunk;
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    });
  }

  async shows(expected: RegExp): Promise<void> {
    while (!expected.test(this.text)) {
      const ended = await Promise.race([this.#changed.promise, this.#ended.then(() => true)]);
      if (ended === true && !expected.test(this.text)) assert.match(this.text, expected);
    }
  }

  /** Everything until the end: the terminal was left, and has its settings again. */
  async leftAsItWas(exitCode: number): Promise<void> {
    await this.#ended;
    const [, before] = /before (\S+)/.exec(this.text) ?? [];
    const [, after] = /after (\S+)/.exec(this.text) ?? [];
    assert.ok(before !== undefined && before === after, this.text);
    assert.ok(this.text.includes(LEFT), 'left the alternate screen and showed the cursor');
    assert.ok(this.text.lastIndexOf(LEFT) > this.text.lastIndexOf('\u001b[?1049h'));
    assert.match(this.text, new RegExp(`code ${exitCode}\\b`));
  }
}

test('q ends it', options, async (t) => {
  const { child, screen } = await inTerminal(t);
  await screen.shows(/clientA[^\r]* 10\.0 /);
  child.stdin?.write('q');
  await screen.leftAsItWas(0);
});

test('keys choose what is shown', options, async (t) => {
  const { child, screen } = await inTerminal(t);
  await screen.shows(/clientA/);
  child.stdin?.write('s');
  await screen.shows(/UPSTREAM SERVER/);
  child.stdin?.write('\u0003');
  await screen.leftAsItWas(0);
});

test('a connection that is lost is told on the screen, and with --no-reconnect ends it', options, async (t) => {
  const patient = await inTerminal(t);
  await patient.screen.shows(/clientA/);
  await patient.link.cut();
  await patient.screen.shows(/trying again/);
  patient.child.stdin?.write('q');
  await patient.screen.leftAsItWas(0);

  const strict = await inTerminal(t, '--no-reconnect');
  await strict.screen.shows(/clientA/);
  await strict.link.cut();
  await strict.screen.leftAsItWas(3);
});

test('without a terminal it is one picture', async (t) => {
  const env = await startScriptedAdmin(t, { watchStats });
  const { code, stdout } = await lbctl(['top'], { env });
  assert.equal(code, 0);
  assert.match(stdout, /^lbctl top +127\.0\.0\.1:\d+ +revision 5 +00:00:02Z$/m);
  assert.match(stdout, /^clientA +- +3 +10\.0 +0 /m);
  assert.doesNotMatch(stdout, /(?!\n)\p{Cc}/u);
});

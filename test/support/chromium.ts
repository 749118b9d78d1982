/** A real browser without a window, driven over the Chrome DevTools Protocol (https://chromedevtools.github.io/devtools-protocol/). */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { temporaryFolder } from './temp-dir.ts';

/** Upper bounds, not a pace. */
const PATIENCE_MS = 60_000;
const LOOK_AGAIN_MS = 50;

const FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--remote-debugging-port=0',
];

/** Why no test can have a browser here; undefined: it can. For node:test's `skip`. */
export const noChromium: string | undefined =
  spawnSync('chromium', ['--version']).error === undefined ? undefined : 'chromium is not installed';

/** One page of a browser of its own, whose profile is empty. */
export interface Page {
  /** What went wrong in the page: exceptions, errors of the console, breaches of its content security policy, files that failed. */
  readonly errors: readonly string[];
  /** Every address that the page asked for. */
  readonly requests: readonly string[];
  send(method: string, params?: object): Promise<Readonly<Record<string, unknown>>>;
  /** The value of an expression, as JSON can have it. @throws what the expression throws */
  evaluate(expression: string): Promise<unknown>;
  /** Resolves once the expression is true: what a page shows, it tells nobody. */
  until(expression: string): Promise<void>;
}

/** Opens the address in a new browser, which ends with the test. Resolves when the page and all that belongs to it are loaded. */
export async function openPage(t: Pick<TestContext, 'after'>, url: string): Promise<Page> {
  const socket = new WebSocket(await startBrowser(t));
  t.after(() => socket.close());
  await once(socket, 'open');
  const { send, on } = protocolOver(socket);
  const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
  const errors: string[] = [];
  const requests: string[] = [];
  on('Runtime.exceptionThrown', (params) => errors.push(JSON.stringify(params)));
  on('Runtime.consoleAPICalled', (params) => {
    if (params['type'] === 'error' || params['type'] === 'warning') errors.push(JSON.stringify(params));
  });
  on('Log.entryAdded', (params) => errors.push(JSON.stringify(params)));
  on('Network.requestWillBeSent', ({ request }) => requests.push(String(Object(request).url)));
  const sendToPage = (method: string, params: object = {}) => send(method, params, String(sessionId));
  for (const domain of ['Runtime', 'Log', 'Network', 'Page']) await sendToPage(`${domain}.enable`);

  const evaluate = async (expression: string): Promise<unknown> => {
    const { result, exceptionDetails } = await sendToPage('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return Object(result).value;
  };
  const until = async (expression: string): Promise<void> => {
    const deadline = Date.now() + PATIENCE_MS;
    while ((await evaluate(expression)) !== true) {
      if (Date.now() > deadline) throw new Error(`not so within ${PATIENCE_MS} ms: ${expression}\n${errors.join('\n')}`);
      await delay(LOOK_AGAIN_MS);
    }
  };
  await sendToPage('Page.navigate', { url });
  await until(`location.href !== 'about:blank' && document.readyState === 'complete'`);
  return { errors, requests, send: sendToPage, evaluate, until };
}

/** The address of its protocol. */
async function startBrowser(t: Pick<TestContext, 'after'>): Promise<string> {
  let removeProfile: () => Promise<void> = async () => undefined;
  const profile = await temporaryFolder({
    after: (clean) => {
      removeProfile = clean;
    },
  });
  const browser = spawn('chromium', [...FLAGS, `--user-data-dir=${profile}`, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, HOME: profile },
    detached: true,
  });
  const exited = once(browser, 'exit');
  t.after(async () => {
    // It has processes of its own, which would write to the profile while it is removed.
    if (browser.pid !== undefined && browser.exitCode === null && browser.signalCode === null) process.kill(-browser.pid, 'SIGKILL');
    await exited;
    await removeProfile();
  });
  const said: string[] = [];
  const deadline = setTimeout(() => browser.kill('SIGKILL'), PATIENCE_MS);
  for await (const line of createInterface({ input: browser.stderr })) {
    said.push(line);
    const address = /^DevTools listening on (ws:\S+)$/.exec(line)?.[1];
    if (address === undefined) continue;
    clearTimeout(deadline);
    browser.stderr.resume();
    return address;
  }
  throw new Error(`the browser ended:\n${said.join('\n')}`);
}

type Params = Readonly<Record<string, unknown>>;

function protocolOver(socket: WebSocket) {
  const waiting = new Map<number, PromiseWithResolvers<Params>>();
  const listeners = new Map<string, (params: Params) => void>();
  let asked = 0;
  socket.addEventListener('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('the browser has closed the connection'));
  });
  socket.addEventListener('message', ({ data }) => {
    const { id, result, error, method, params } = JSON.parse(String(data));
    if (method !== undefined) listeners.get(method)?.(params);
    const answer = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) answer?.resolve(result);
    else answer?.reject(new Error(error.message));
  });
  const send = (method: string, params: object, sessionId?: string): Promise<Params> => {
    const answer = Promise.withResolvers<Params>();
    const id = ++asked;
    waiting.set(id, answer);
    socket.send(JSON.stringify({ id, method, params, sessionId }));
    return answer.promise;
  };
  const on = (method: string, listener: (params: Params) => void) => void listeners.set(method, listener);
  return { send, on };
}

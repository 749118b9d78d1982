import type { HealthCheck } from '../../domain/health-check.ts';
import { look, type ProbeResult, type ProbeTarget } from './look.ts';
import { printable, wordsOf } from './words.ts';

/** As much of an answer as is looked at. */
const MOST_BYTES = 65_536;

/** Sends a text, and looks for another one within the first 64 KiB of the answer, as HAProxy's `tcp-check` with `string` does. */
export function probeSendExpect(target: ProbeTarget, { sendExpect }: HealthCheck, signal: AbortSignal): Promise<ProbeResult> {
  if (sendExpect === undefined) return Promise.resolve({ ok: false, cause: 'the health check does not say what to expect' });
  const expected = Buffer.from(sendExpect.expect);
  return look(target, signal, (socket, settle) => {
    let answer = Buffer.alloc(0);
    const give = (what: string) =>
      settle({ ok: false, cause: answer.length === 0 ? 'closed without an answer' : `${what}: ${printable(answer.toString('latin1'))}` });
    socket.on('data', (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]).subarray(0, MOST_BYTES);
      if (answer.includes(expected)) settle({ ok: true, cause: 'the expected answer' });
      else if (answer.length === MOST_BYTES) give('not in the first 64 KiB of the answer');
    });
    socket.once('end', () => give('another answer than expected'));
    socket.once('error', (error) => settle({ ok: false, cause: wordsOf(error) }));
    if (sendExpect.send !== '') socket.write(sendExpect.send);
  });
}

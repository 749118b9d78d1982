import type { HealthCheck } from '../../domain/health-check.ts';
import { formatAddress } from '../../domain/model.ts';
import { readHttpAnswer } from './http-answer.ts';
import { look, type ProbeResult, type ProbeTarget } from './look.ts';
import { wordsOf } from './words.ts';

/** As much of a body as is looked at. */
const MOST_BODY = 65_536;
/** As much of an answer as is read, what is around its body included: a body may come in chunks of a byte each. */
const MOST_BYTES = 8 * MOST_BODY;
/** As much of an answer as is read in search of its first line. */
const LONGEST_STATUS_LINE = 4096;

/** One GET; the status decides, and then the text that the body must hold, if the check names one. */
export function probeHttp(target: ProbeTarget, { http }: HealthCheck, signal: AbortSignal): Promise<ProbeResult> {
  if (http === undefined) return Promise.resolve({ ok: false, cause: 'the health check does not say what to ask for' });
  const host = http.host ?? formatAddress(target.address);
  const request = `GET ${http.path} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: portcullis-health-check\r\nConnection: close\r\n\r\n`;
  const expected = http.body === undefined ? undefined : Buffer.from(http.body);

  /** What the bytes so far come to; undefined: more of them are needed, unless `ended`. */
  const judge = (bytes: Buffer, ended: boolean): ProbeResult | undefined => {
    const answer = readHttpAnswer(bytes);
    if (answer === undefined && !ended && bytes.length < LONGEST_STATUS_LINE) return undefined;
    if (answer === undefined && bytes.length === 0) return { ok: false, cause: 'closed without an answer' };
    if (answer === undefined || answer === 'not HTTP') return { ok: false, cause: 'the answer is not HTTP' };
    const { status, body, isWhole } = answer;
    if (status < http.statusFrom || status > http.statusTo) return { ok: false, cause: `HTTP ${status}` };
    if (expected === undefined || body?.subarray(0, MOST_BODY).includes(expected) === true) return { ok: true, cause: `HTTP ${status}` };
    if (ended || isWhole || bytes.length >= MOST_BYTES || (body?.length ?? 0) >= MOST_BODY)
      return { ok: false, cause: `HTTP ${status} without the expected text in its body` };
    return undefined;
  };

  return look(target, signal, (socket, settle) => {
    let bytes = Buffer.alloc(0);
    const note = (ended: boolean) => {
      const result = judge(bytes, ended);
      if (result !== undefined) settle(result);
    };
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      note(false);
    });
    socket.once('end', () => note(true));
    socket.once('error', (error) => settle({ ok: false, cause: wordsOf(error) }));
    socket.write(request);
  });
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parse } from 'yaml';
import { toPlain } from '../../../cli/plain.ts';
import { createPrinter, type Output, paintFor, safeText, table, toJsonLine, toYaml } from '../../../cli/render.ts';
import { HealthState, UpstreamServerStatus, WatchHealthResponse_Kind } from '../../../src/gen/lb/admin/v1/admin.ts';

const noPaint = (text: string) => text;
/** Everything with which text can steer a terminal or deceive its reader, but for the line feeds between our own lines. */
const STEERS = /(?!\n)[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;
const nasty = fc.string({
  unit: fc.oneof(
    fc.constantFrom('\u001b', '\n', '\r', '\u009b', '\u202e', '\u2028', '"', '\\', ':', '#'),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  ),
});

test('shows control characters escaped', () => {
  assert.equal(safeText('a\u001b[31mb\nc\u009bd\u202ee'), 'a\\x1b[31mb\\x0ac\\x9bd\\u202ee');
  assert.equal(safeText('Grüße, 世界 🙂'), 'Grüße, 世界 🙂');
});

test('nothing that a server sent can steer a terminal, in any format', () => {
  fc.assert(
    fc.property(nasty, (text) => {
      for (const output of [
        toJsonLine({ text, list: [text] }),
        toYaml({ text, list: [text] }),
        table(['A', 'B'], [[text, text]], noPaint),
      ]) {
        assert.doesNotMatch(output, STEERS);
      }
    }),
  );
});

test('JSON and YAML say exactly what the server sent', () => {
  fc.assert(
    fc.property(nasty, (text) => {
      assert.deepEqual(JSON.parse(toJsonLine({ text })), { text });
      assert.deepEqual(parse(toYaml({ text })), { text });
    }),
  );
});

test('aligns the columns, shows nothing as a dash, and leaves no blanks at the end', () => {
  assert.equal(
    table(
      ['NAME', 'N', 'LAST'],
      [
        ['a', '100', 'x'],
        ['longer', '', ''],
      ],
      noPaint,
    ),
    'NAME    N    LAST\na       100  x\nlonger  -    -',
  );
});

test('colour does not shift the columns', () => {
  const paint = (text: string) => `<${text}>`;
  assert.equal(
    table(
      ['H', 'X'],
      [
        [{ text: 'up', tone: 'good' }, '1'],
        ['down', '2'],
      ],
      paint,
    ),
    'H     X\n<up>    1\ndown  2',
  );
});

test('colours only a terminal, and not when NO_COLOR is set', () => {
  const sink = (isTTY: boolean) => ({ write: () => true, isTTY });
  assert.equal(paintFor({ stdout: sink(true), env: {} })('up', 'good'), '\u001b[32mup\u001b[0m');
  assert.equal(paintFor({ stdout: sink(true), env: { NO_COLOR: '1' } })('up', 'good'), 'up');
  assert.equal(paintFor({ stdout: sink(true), env: { NO_COLOR: '' } })('up', 'good'), '\u001b[32mup\u001b[0m');
  assert.equal(paintFor({ stdout: sink(false), env: {} })('up', 'good'), 'up');
});

test('makes plain data of a message: words for enums, numbers for 64 bits, RFC 3339 times, durations in seconds', () => {
  const status = UpstreamServerStatus.fromPartial({
    targetGroup: 'HEALTH_STATE_HEALTHY',
    health: HealthState.HEALTHY,
    since: new Date(Date.UTC(2030, 0, 31)),
    lastProbeLatency: { seconds: 0n, nanos: 1_500_000 },
    counters: { active: 3n, connected: 2n ** 60n },
  });
  assert.deepEqual(toPlain(status), {
    targetGroup: 'HEALTH_STATE_HEALTHY',
    health: 'healthy',
    lastProbe: '',
    cause: '',
    inPanic: false,
    lastProbeLatency: '0.0015s',
    since: '2030-01-31T00:00:00.000Z',
    counters: { active: 3, connected: '1152921504606846976', failed: 0, bytesToUpstream: 0, bytesFromUpstream: 0 },
  });
  assert.deepEqual(toPlain({ kind: WatchHealthResponse_Kind.CHANGED, from: HealthState.UNSPECIFIED }), {
    kind: 'changed',
    from: 'unspecified',
  });
});

function printed(output: Output, write: (printer: ReturnType<typeof createPrinter>) => void): string {
  let text = '';
  write(createPrinter({ stdout: { write: (more: string) => (text += more) }, env: {} }, output));
  return text;
}

test('a reply is one line of JSON, or one document of YAML, or its sentence', () => {
  const reply = (printer: ReturnType<typeof createPrinter>) => printer.sentence({ revision: 12n }, 'added a\u001bb (revision 12)');
  assert.equal(printed('json', reply), '{"revision":12}\n');
  assert.equal(printed('yaml', reply), 'revision: 12\n');
  assert.equal(printed('table', reply), 'added a\\x1bb (revision 12)\n');
});

test('a stream is one line of JSON for each message, or documents of YAML', () => {
  const stream = (printer: ReturnType<typeof createPrinter>) => {
    printer.event({ revision: 1n }, 'first');
    printer.event({ revision: 2n }, undefined);
  };
  assert.equal(printed('json', stream), '{"revision":1}\n{"revision":2}\n');
  assert.equal(printed('yaml', stream), '---\nrevision: 1\n---\nrevision: 2\n');
  assert.equal(printed('table', stream), 'first\n');
});

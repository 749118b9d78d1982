/** `top`: the counters on the whole screen, again every interval. */
import { type Command, Option } from 'commander';
import { AdminServiceService, type WatchStatsResponse } from '../../src/gen/lb/admin/v1/admin.ts';
import { toDuration } from '../durations.ts';
import type { Io, Terminal } from '../io.ts';
import { wholeStats } from '../paging.ts';
import { resuming } from '../resuming.ts';
import { rowsShown, topFrame } from '../top/frame.ts';
import { counted, FIRST_MODEL, pressed, type TopModel } from '../top/model.ts';
import { positiveDuration } from '../values.ts';
import { type FollowOptions, followOptions } from './following.ts';
import { example, type Session, untilInterrupted, withSession } from './session.ts';

interface TopOptions extends FollowOptions {
  readonly interval: number;
}

const HOME = '\u001b[H';
const TO_END_OF_LINE = '\u001b[K';
const TO_END_OF_SCREEN = '\u001b[J';

export function addTopCommand(program: Command, io: Io): void {
  const command = program
    .command('top')
    .description('groups and clients live on the whole screen, sorted by the keys that it shows; without a terminal, one picture')
    .addOption(
      new Option('--interval <duration>', 'between two pictures, at least 100ms').argParser(positiveDuration).default(1_000, '1s'),
    );
  followOptions(command).action(async (options: TopOptions) => {
    await withSession(io, command, async (session) => {
      const { terminal } = io;
      if (terminal === undefined || session.settings.output !== 'table') await printOnce(io, session, options);
      else await untilInterrupted(io, (signal) => live(io, terminal, session, options, signal));
    });
  });
  example(command, 'top', 'top --interval 5s');
}

/** Rates need two snapshots. */
async function printOnce(io: Io, session: Session, options: TopOptions): Promise<void> {
  const { connection, printer, settings } = session;
  let model = FIRST_MODEL;
  for await (const stats of watchStats(options, connection, new AbortController().signal)) {
    model = counted(model, stats);
    if (model.before !== undefined) break;
  }
  const columns = Number(io.env['COLUMNS']) || 80;
  const frame = topFrame(model, settings.addr, { columns, rows: Number.POSITIVE_INFINITY }, printer.paint);
  printer.block(model.now, frame.join('\n'));
}

async function live(io: Io, terminal: Terminal, session: Session, options: TopOptions, interrupted: AbortSignal): Promise<void> {
  const { connection, printer, settings } = session;
  const quit = new AbortController();
  const signal = AbortSignal.any([interrupted, quit.signal]);
  let model: TopModel = FIRST_MODEL;
  const draw = () => {
    const lines = topFrame(model, settings.addr, terminal.size(), printer.paint);
    io.stdout.write(HOME + lines.map((line) => line + TO_END_OF_LINE).join('\r\n') + TO_END_OF_SCREEN);
  };
  const giveBack = terminal.takeOver({
    key: (key) => {
      const next = pressed(model, key, rowsShown(terminal.size()));
      if (next === 'quit') quit.abort();
      else {
        model = next;
        draw();
      }
    },
    resize: draw,
    gone: () => quit.abort(),
  });
  try {
    draw();
    const messages = resuming({
      connection,
      settings,
      signal,
      reconnect: options.reconnect,
      open: (current) => watchStats(options, current, signal),
      startOver: () => false,
      notify: (notice) => {
        model = { ...model, notice };
        draw();
      },
    });
    for await (const stats of messages) {
      model = counted(model, stats);
      draw();
    }
  } finally {
    giveBack();
  }
}

function watchStats({ interval }: TopOptions, connection: Session['connection'], signal: AbortSignal): AsyncIterable<WatchStatsResponse> {
  const request = { interval: toDuration(interval), targetGroup: '', server: '', clientId: '' };
  return wholeStats(connection.serverStream(AdminServiceService.watchStats, request, signal));
}

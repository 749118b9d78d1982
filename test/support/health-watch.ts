import type { TestContext } from 'node:test';
import { Authority } from '../../src/controlplane/authority.ts';
import { HealthChecker, type HealthCheckerParts } from '../../src/controlplane/health-checker.ts';
import { type HealthEvent, HealthJournal } from '../../src/controlplane/health-journal.ts';
import { MemoryStore } from '../../src/controlplane/store/memory.ts';
import type { TargetGroup } from '../../src/domain/model.ts';
import type { Command } from '../../src/domain/state.ts';

export interface HealthWatch {
  readonly checker: HealthChecker;
  /** Every event so far. */
  readonly events: readonly HealthEvent[];
  /** Every log line so far, as `level message server from->to: cause`. */
  readonly logged: readonly string[];
  /** Every publication so far, as `group server health`. */
  readonly published: readonly string[];
  /** The next event that nobody has waited for yet, as `kind server from->to: cause`. */
  next(): Promise<string>;
  change(command: Command): Promise<void>;
}

/** A health checker over these groups, not started yet. It stops when the test ends. */
export async function watchHealth(
  t: Pick<TestContext, 'after'>,
  targetGroups: readonly TargetGroup[],
  seams: Pick<HealthCheckerParts, 'probe' | 'random' | 'nowMs'> = {},
): Promise<HealthWatch> {
  const authority = await Authority.open(new MemoryStore());
  const change = async (command: Command) => void (await authority.execute(command, { actor: 'test' }));
  await change({ kind: 'replaceAll', listeners: [], targetGroups, clients: [], revocations: [] });
  const journal = new HealthJournal(Date.now());
  const events: HealthEvent[] = [];
  const logged: string[] = [];
  const published: string[] = [];
  let wake: () => void = () => undefined;
  journal.subscribe((event) => {
    events.push(event);
    wake();
  });
  const checker = new HealthChecker({
    authority,
    journal,
    publish: (group, server, health) => published.push(`${group} ${server} ${health}`),
    log: {
      info: (fields, message) => logged.push(line('info', message, fields)),
      warn: (fields, message) => logged.push(line('warn', message, fields)),
    },
    ...seams,
  });
  t.after(() => checker.stop());
  let seen = 0;
  const next = async () => {
    for (;;) {
      const event = events[seen];
      if (event !== undefined) {
        seen++;
        return `${event.kind} ${event.server} ${event.from}->${event.to}: ${event.cause}`;
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { checker, events, logged, published, next, change };
}

function line(level: string, message: string, fields: object): string {
  const { server, from, to, cause } = { server: '', from: '', to: '', cause: '', ...fields };
  return `${level} ${message} ${server} ${from}->${to}: ${cause}`;
}

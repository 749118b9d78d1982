/** Listeners on the dashboard. */
import type { Stats } from '../controlplane/stats.ts';
import type { BoundListener } from '../domain/model.ts';
import type { ListenerTotals } from '../shared/memory/listener-cells.ts';
import { inOrderOf, MAX_SHOWN, type Shown, sumOf } from './dashboard-parts.ts';

export interface ListenerShown extends ListenerTotals {
  readonly name: string;
  /** host:port with the port that was really bound. */
  readonly address: string;
  readonly mode: 'TLS' | 'plain';
  /** PROXY headers are expected from some addresses. */
  readonly isBehindProxy: boolean;
  /** null: routes or the client say which. */
  readonly targetGroup: string | null;
}

export type ListenersShown = Shown<ListenerShown, ListenerTotals>;

/** By name. */
export function listenersShown(listeners: readonly BoundListener[], stats: Stats): ListenersShown {
  const all = inOrderOf(listeners, ({ name }) => name).map(
    ({ name, address, plain, acceptProxyProtocol, targetGroup = null }): ListenerShown => ({
      name,
      address,
      mode: plain ? 'plain' : 'TLS',
      isBehindProxy: acceptProxyProtocol.length > 0,
      targetGroup,
      ...stats.listener(name),
    }),
  );
  const rest = all.slice(MAX_SHOWN);
  return {
    total: all.length,
    shown: all.slice(0, MAX_SHOWN),
    rest: {
      active: sumOf(rest, ({ active }) => active),
      accepted: sumOf(rest, ({ accepted }) => accepted),
      refused: sumOf(rest, ({ refused }) => refused),
    },
  };
}

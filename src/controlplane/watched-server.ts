/** An upstream server under observation, as the health checker knows it. */
import { isDeepStrictEqual } from 'node:util';
import { parseAddress } from '../domain/address.ts';
import { type Health, UNKNOWN_HEALTH } from '../domain/health.ts';
import type { Address, TargetGroup } from '../domain/model.ts';
import type { ServerHealth } from './health-journal.ts';

/** What of a group says how its servers are probed. */
export type CheckSettings = Pick<TargetGroup, 'healthCheck' | 'sendProxyProtocol' | 'upstreamTls'>;

export interface WatchedServer {
  readonly group: string;
  readonly server: string;
  readonly address: Address;
  settings: CheckSettings;
  /** In maintenance: not probed, and its health stays as it was. */
  resting: boolean;
  health: Health;
  /** What was seen when the health became what it is. */
  cause: string;
  lastProbe: string;
  lastProbeMs: number;
  /** Milliseconds since 1970. */
  probedAtMs: number | undefined;
  nextProbeAtMs: number | undefined;
  sinceMs: number;
  /** Until the next probe. */
  timer: NodeJS.Timeout | undefined;
  /** The probe under way; what another one still finds does not count. */
  running: AbortController | undefined;
  probed: boolean;
  readonly firstProbe: PromiseWithResolvers<void>;
}

/** @throws Error for an address that no state may hold. */
export function watchServer(group: TargetGroup, server: string, nowMs: number): WatchedServer {
  const address = parseAddress(server);
  if ('problem' in address) throw new Error(`the state holds a malformed address: ${address.problem}`);
  return {
    group: group.name,
    server,
    address,
    settings: checkSettings(group),
    resting: false,
    health: UNKNOWN_HEALTH,
    cause: 'not probed yet',
    lastProbe: 'not probed yet',
    lastProbeMs: 0,
    probedAtMs: undefined,
    nextProbeAtMs: undefined,
    sinceMs: nowMs,
    timer: undefined,
    running: undefined,
    probed: false,
    firstProbe: Promise.withResolvers(),
  };
}

export function checkSettings({ healthCheck, sendProxyProtocol, upstreamTls }: TargetGroup): CheckSettings {
  return { healthCheck, sendProxyProtocol, upstreamTls };
}

export function isCheckedSo({ settings }: WatchedServer, group: TargetGroup): boolean {
  return isDeepStrictEqual(settings, checkSettings(group));
}

export function healthOf(watched: WatchedServer): ServerHealth {
  const { group, server, health, cause, lastProbe, lastProbeMs, probedAtMs, nextProbeAtMs, sinceMs } = watched;
  return { group, server, health: health.state, cause, lastProbe, lastProbeMs, probedAtMs, nextProbeAtMs, sinceMs };
}

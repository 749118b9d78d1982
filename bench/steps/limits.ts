/** A connection's limits, as a worker asks them: places and rates of clients, and the guard of source addresses. */
import { enterAddress } from '../../src/dataplane/address-guard.ts';
import { Admission } from '../../src/dataplane/admission.ts';
import { DelayedConnections } from '../../src/dataplane/delayed-connections.ts';
import { Refusal } from '../../src/dataplane/refusal.ts';
import { NO_LIMITS } from '../../src/domain/defaults.ts';
import { type AddressGuard, type Limits, RATE_ALGORITHMS } from '../../src/domain/model.ts';
import { monotonicMs } from '../../src/shared/clock.ts';
import { AddressTable } from '../../src/shared/memory/address-table.ts';
import { LaneWriter } from '../../src/shared/memory/lane-writer.ts';
import { createSharedBuffers } from '../../src/shared/memory/layout.ts';
import { sampleListener } from '../../test/support/sample-state.ts';
import { type Run, repeating } from './cost.ts';
import { crowdOf, GROUP, viewOf } from './crowd.ts';
import { type Curve, curveOf } from './curves.ts';

/** More than a client asks for in its window here. */
const AMPLE = { limit: 250, windowMs: 1, burst: 250, action: 'reset', maxDelayMs: 0 } as const;
/** Used up by one. */
const SCANT = { ...AMPLE, limit: 1, burst: 1, windowMs: 86_400_000 } as const;

/** Every rate limiter, then what is refused by one, by the places, and by the guard of addresses. */
export async function limitCurves(): Promise<readonly Curve[]> {
  const curves: Curve[] = [];
  const admission = (step: string, limits: Partial<Limits>, verdict: Verdict) => curveOf(step, (size) => admitting(size, limits, verdict));
  for (const algorithm of RATE_ALGORITHMS) curves.push(await admission(algorithm, { connectionRate: { ...AMPLE, algorithm } }, 'admitted'));
  for (const algorithm of RATE_ALGORITHMS)
    curves.push(await admission(`${algorithm}: refused`, { connectionRate: { ...SCANT, algorithm } }, 'refused'));
  curves.push(await admission('concurrentConnections', { concurrentConnections: 1 }, 'admitted'));
  curves.push(await admission('concurrentConnections: refused', { concurrentConnections: 0 }, 'refused'));
  return curves;
}

/** The guard of so many addresses, with every bound set. */
export async function guardCurves(): Promise<readonly Curve[]> {
  const ample = { connectionsPerSecond: 1e9, burst: 1e9, pendingHandshakes: 10, concurrentConnections: 10 };
  const scant = { ...ample, connectionsPerSecond: 1e-6, burst: 1 };
  return [
    await curveOf('perAddress', (size) => repeating(entering(size, ample, 'admitted'))),
    await curveOf('perAddress: refused', (size) => repeating(entering(size, scant, 'refused'))),
  ];
}

type Verdict = 'admitted' | 'refused';

function admitting(size: number, limits: Partial<Limits>, verdict: Verdict): Run {
  const lane = new LaneWriter(createSharedBuffers(1), 0);
  const clients = crowdOf(size, () => ({ limits: { ...NO_LIMITS, ...limits } }));
  const view = viewOf(clients, lane);
  const admission = new Admission({
    lane,
    nowMs: monotonicMs,
    rateNow: (clientId) => view.rateOf(clientId),
    delayed: new DelayedConnections({ lane, nowMs: monotonicMs, isLimited: () => true, objectionTo: () => undefined }),
    log: { debug: () => undefined },
  });
  const waiting = {
    gone: new AbortController().signal,
    stillTrusted: async () => undefined,
    onWaits: () => undefined,
    onWaited: () => undefined,
  };
  const arrivals = clients.map(({ clientId }) => {
    const identity = { commonName: clientId, dnsNames: [], uriNames: [], organizationalUnits: [], fingerprint: '', twins: [] };
    const found = view.findClient({ identity, source: undefined });
    if (typeof found === 'string') throw new Error(`${clientId} is ${found}`);
    return { found, ground: { identity, source: undefined, clientId, group: GROUP } };
  });
  return async (first, steps) => {
    for (let number = first; number < first + steps; number++) {
      const arrival = arrivals[number % size];
      if (arrival === undefined) throw new Error('there are clients');
      try {
        const place = await admission.admit(arrival.found, arrival.ground, waiting);
        place.release();
        // Of those who are refused, the first use the limit up.
        if (verdict === 'refused' && number >= size) throw new Error('a client was let in');
      } catch (error) {
        if (verdict === 'admitted' || !(error instanceof Refusal)) throw error;
      }
    }
  };
}

function entering(size: number, bounds: AddressGuard, verdict: Verdict): (number: number) => void {
  const table = new AddressTable(createSharedBuffers(1).addresses, 0);
  const listener = sampleListener('main', { perAddress: bounds });
  const sources = Array.from({ length: size }, (_, index) => 0xffff_0a00_0000n + BigInt(index));
  return (number) => {
    try {
      const place = enterAddress(listener, sources[number % size] ?? 0n, table, monotonicMs());
      place.shaken();
      place.release();
    } catch (error) {
      if (verdict === 'admitted' || !(error instanceof Refusal)) throw error;
    }
  };
}

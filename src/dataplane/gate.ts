/** Where an address that has just been refused for its bounds is refused again, before its connection costs a socket. */
import { addressBits } from '../domain/cidr.ts';
import { formatAddress, type Listener } from '../domain/model.ts';
import type { Arrival } from '../shared/hidden-node.ts';
import type { AddressTable } from '../shared/memory/address-table.ts';
import { objectionToAddress } from './address-guard.ts';
import { accepts } from './source.ts';
import type { Tarpit } from './tarpit.ts';
import type { TurnedAway } from './turned-away.ts';

export interface AddressGateOptions {
  readonly addresses: AddressTable;
  readonly tarpit: Pick<Tarpit, 'size' | 'isFull' | 'hold'>;
  readonly nowMs: () => number;
  /** undefined: the state has none of this name. */
  readonly listenerNamed: (name: string) => Listener | undefined;
  readonly tell: (who: TurnedAway) => void;
}

/** Refuses who is over the bounds of its address, while others are in the tarpit for that. */
export class AddressGate {
  readonly #options: AddressGateOptions;

  constructor(options: AddressGateOptions) {
    this.#options = options;
  }

  /** True: it is refused and has been told of, and is in the tarpit unless that is full. */
  refuses(arrival: Arrival, listenerName: string): boolean {
    const { addresses, tarpit, nowMs, listenerNamed, tell } = this.#options;
    // To ask the system for the address costs all who come: only while there are addresses that are refused.
    if (tarpit.size === 0 && !tarpit.isFull) return false;
    const peer = arrival.peer();
    const bits = peer && addressBits(peer.host);
    const listener = listenerNamed(listenerName);
    // Whose connection it is that a proxy passes on, only its header says.
    if (peer === undefined || bits === undefined || listener === undefined || accepts(listener, bits)) return false;
    const detail = objectionToAddress(listener, bits, addresses, nowMs());
    if (detail === undefined) return false;
    tell({ reason: 'address_limited', listener: listenerName, remote: formatAddress(peer), detail });
    if (tarpit.isFull) arrival.reset();
    else tarpit.hold(arrival);
    return true;
  }
}

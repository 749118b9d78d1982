/** Closed to addresses that flood: a connection of theirs costs no socket. */
import { BlockList, type SocketAddress } from 'node:net';
import { addressBits } from '../domain/cidr.ts';
import type { Listener } from '../domain/model.ts';
import type { AddressTable } from '../shared/memory/address-table.ts';
import { objectionToAddress } from './address-guard.ts';
import { accepts } from './source.ts';
import type { Tarpit } from './tarpit.ts';
import type { TurnedAway } from './turned-away.ts';

/**
 * What net.Server asks of each connection that it has taken from the system, before it makes a socket of it. Whom it is closed to is
 * disconnected, for about a third of what a socket costs that is made and reset.
 */
export class Gate extends BlockList {
  readonly #isClosedTo: (address: string) => boolean;

  /** `isClosedTo` is asked with the address as text. */
  constructor(isClosedTo: (address: string) => boolean) {
    super();
    this.#isClosedTo = isClosedTo;
  }

  override check(address: string | SocketAddress): boolean {
    return this.#isClosedTo(typeof address === 'string' ? address : address.address);
  }
}

export interface AddressGateOptions {
  readonly addresses: AddressTable;
  readonly tarpit: Pick<Tarpit, 'isFull'>;
  readonly nowMs: () => number;
  /** undefined: the state has none of this name. */
  readonly listenerNamed: (name: string) => Listener | undefined;
  readonly tell: (who: TurnedAway) => void;
}

/** Turns away who is over the bounds of its address, while the tarpit has no room for more of them. */
export class AddressGate {
  readonly #options: AddressGateOptions;

  constructor(options: AddressGateOptions) {
    this.#options = options;
  }

  /** To everybody, whatever their bounds. */
  get isOpen(): boolean {
    return !this.#options.tarpit.isFull;
  }

  /** True: it has been told of, and is to be disconnected. */
  isClosedTo(address: string, listenerName: string): boolean {
    const { addresses, nowMs, listenerNamed, tell } = this.#options;
    if (this.isOpen) return false;
    const listener = listenerNamed(listenerName);
    const bits = addressBits(address);
    // Whose connection it is that a proxy passes on, only its header says.
    if (listener === undefined || bits === undefined || accepts(listener, bits)) return false;
    const detail = objectionToAddress(listener, bits, addresses, nowMs());
    if (detail === undefined) return false;
    tell({ reason: 'address_limited', listener: listenerName, remote: address, detail });
    return true;
  }
}

import type { Socket } from 'node:net';

/** What a connection passes first on its listener. */
export interface Front {
  /** Resolves with what bytes are read from and written to. @throws Refusal */
  handshake(raw: Socket): Promise<Socket>;
}

/** The front of a plain listener: nothing is shaken, nothing is proven. */
export const plainFront: Front = {
  handshake: async (raw) => {
    raw.allowHalfOpen = true;
    return raw;
  },
};

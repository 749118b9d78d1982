/** So many in a second are often; of fewer, each may cost a TLS socket. */
const OFTEN = 8;
const SECOND_MS = 1_000;
/** So long after it was often, more are expected. */
const EXPECTED_MS = 10_000;

/**
 * Whether clients that do not speak TLS come often, so that looking at how a client begins, before there is a TLS socket, pays. It costs those
 * who do speak it: of bytes that were read before, Node.js makes a read buffer of 1 KB and goes on with 16 instead of 64, and what these
 * clients send takes a tenth more processor time for as long as they are connected (NodeBIO::TryAllocateForWrite).
 */
export class NoiseWatch {
  #secondBeganMs = Number.NEGATIVE_INFINITY;
  #inSecond = 0;
  #expectedUntilMs = Number.NEGATIVE_INFINITY;

  /** A client came that does not speak TLS. */
  count(nowMs: number): void {
    if (nowMs - this.#secondBeganMs >= SECOND_MS) {
      this.#secondBeganMs = nowMs;
      this.#inSecond = 0;
    }
    this.#inSecond++;
    if (this.#inSecond >= OFTEN) this.#expectedUntilMs = nowMs + EXPECTED_MS;
  }

  isNoiseExpected(nowMs: number): boolean {
    return nowMs < this.#expectedUntilMs;
  }
}

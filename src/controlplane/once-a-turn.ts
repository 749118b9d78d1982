/** Does something for each name that is noted, once, at the end of this turn of the event loop, however often it was noted. */
export class OnceATurn {
  readonly #act: (name: string) => void;
  readonly #noted = new Set<string>();

  constructor(act: (name: string) => void) {
    this.#act = act;
  }

  note(name: string): void {
    if (this.#noted.size === 0) setImmediate(() => this.#actOnAll());
    this.#noted.add(name);
  }

  #actOnAll(): void {
    const names = [...this.#noted];
    this.#noted.clear();
    for (const name of names) this.#act(name);
  }
}

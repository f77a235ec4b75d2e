/** Timeouts by name: one of a name runs at a time, and all end together. */
export class Timers {
  /** @type {Map<string, ReturnType<typeof setTimeout>>} */
  #running = new Map();

  /**
   * @param {string} name
   * @param {number} delayMs
   * @param {() => void} action
   */
  start(name, delayMs, action) {
    this.cancel(name);
    const run = () => {
      this.#running.delete(name);
      action();
    };
    this.#running.set(name, setTimeout(run, delayMs));
  }

  /** @param {string} name */
  isRunning(name) {
    return this.#running.has(name);
  }

  /** @param {string} name */
  cancel(name) {
    clearTimeout(this.#running.get(name));
    this.#running.delete(name);
  }

  cancelAll() {
    for (const name of this.#running.keys()) this.cancel(name);
  }
}

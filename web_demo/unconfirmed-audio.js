/** @typedef {import("./connection.js").Connection} Connection */

const BYTES_PER_SAMPLE = 2;

/** Audio by sample offset: what the server has not confirmed, and what was not yet sent. */
export class UnconfirmedAudio {
  /** @type {Int16Array<ArrayBuffer>[]} */
  #chunks = [];
  /** First sample held. */
  from = 0;
  /** First sample not yet sent. */
  sent = 0;
  /** One past the last sample held. */
  end = 0;

  /** @param {Int16Array<ArrayBuffer>} samples */
  push(samples) {
    this.#chunks.push(samples);
    this.end += samples.length;
  }

  /**
   * Sends what may be sent now.
   * @param {Connection} connection
   * @param {{ unconfirmed: number, buffered: number, frame: number }} most samples that may be
   *   unconfirmed, in the socket's buffer, in a message
   * @returns {"sent" | "blocked"} blocked: ask again when the socket's buffer has emptied
   */
  sendTo(connection, most) {
    while (connection.buffered < most.buffered * BYTES_PER_SAMPLE) {
      const room = most.unconfirmed - (this.sent - this.from);
      const samples = this.#next(Math.min(room, most.frame));
      if (samples === undefined) return "sent";
      connection.sendAudio(samples);
    }
    return "blocked";
  }

  /** All that is held is to be sent (again). */
  rewind() {
    this.sent = this.from;
  }

  /**
   * Forgets all audio before sample `upto`.
   * @param {number} upto
   */
  forget(upto) {
    while (this.#chunks.length > 0 && this.from < upto) {
      const [first] = this.#chunks;
      const gone = Math.min(upto - this.from, first.length);
      this.from += gone;
      if (gone === first.length) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(gone);
    }
    this.sent = Math.max(this.sent, this.from);
  }

  /**
   * The next samples to send, taken as sent; undefined when all are, or none may be.
   * @param {number} most
   * @returns {Int16Array<ArrayBuffer> | undefined}
   */
  #next(most) {
    if (most <= 0 || this.sent === this.end) return undefined;
    let start = this.end;
    for (let i = this.#chunks.length - 1; i >= 0; i -= 1) {
      const chunk = this.#chunks[i];
      start -= chunk.length;
      if (start > this.sent) continue;
      const unsent = chunk.subarray(this.sent - start, this.sent - start + most);
      this.sent += unsent.length;
      return unsent;
    }
    return undefined;
  }
}

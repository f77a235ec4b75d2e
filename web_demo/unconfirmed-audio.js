/** @typedef {import("./connection.js").Connection} Connection */

const BYTES_PER_SAMPLE = 2;

/**
 * Audio by sample offset, and the `finalize` messages that have their places in it: what the server
 * has not confirmed, and what was not yet sent.
 */
export class UnconfirmedAudio {
  /** @type {Int16Array<ArrayBuffer>[]} */
  #chunks = [];
  /** Not confirmed, in order. @type {{ at: number, number: number, id: string | undefined }[]} */
  #finalizes = [];
  #finalizesSaid = 0;
  #finalizesSent = 0;
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
   * Has a `finalize` sent behind the audio that was pushed.
   * @param {string} [id]
   */
  finalize(id) {
    this.#finalizesSaid += 1;
    this.#finalizes.push({ at: this.end, number: this.#finalizesSaid, id });
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
      const finalize = this.#finalizes.find(({ number }) => number > this.#finalizesSent);
      if (finalize !== undefined && finalize.at <= this.sent) {
        this.#finalizesSent = finalize.number;
        connection.send({ type: "finalize", id: finalize.id });
        continue;
      }
      const room = Math.min(most.unconfirmed - (this.sent - this.from), most.frame);
      const samples = this.#next(finalize === undefined ? room : Math.min(room, finalize.at - this.sent));
      if (samples === undefined) return "sent";
      connection.sendAudio(samples);
    }
    return "blocked";
  }

  /**
   * A new connection goes on at sample `next`, behind so many `finalize` messages.
   * @param {number} next
   * @param {number} finalizes
   */
  rewind(next, finalizes) {
    this.sent = Math.min(Math.max(next, this.from), this.end);
    this.#finalizesSent = finalizes;
  }

  /**
   * Forgets all audio before sample `upto`, and so many `finalize` messages.
   * @param {number} upto
   * @param {number} [finalizes]
   */
  forget(upto, finalizes = 0) {
    this.#finalizes = this.#finalizes.filter(({ number }) => number > finalizes);
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

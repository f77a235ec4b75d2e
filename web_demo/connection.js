/** One WebSocket to the gateway, from its opening to its end; it never reconnects. */

import { OpusStream } from "./opus.js";
import { parse } from "./protocol.js";

const CONNECT_TIMEOUT_MS = 10_000;
const HEARTBEAT_MS = 15_000; // browsers have no WebSocket ping of their own

/**
 * @typedef {object} Listener
 * @property {() => void} opened
 * @property {(message: any) => void} said
 * @property {(code: number, reason: string | null) => void} ended once; the reason is set where the
 *   connection was given up here: `connect_timeout`, `connection_lost`, `opus_failed`
 */

export class Connection {
  #socket;
  #listener;
  #ended = false;
  #heardAt = 0;
  #pingedAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {OpusStream | null} */
  #opus = null;
  #compression = 1;

  /**
   * @param {URL} url
   * @param {string[]} protocols
   * @param {Listener} listener
   * @param {number | null} [opusRate] audio is sent as Opus; Hz of the samples
   */
  constructor(url, protocols, listener, opusRate = null) {
    this.#listener = listener;
    if (opusRate !== null) {
      this.#opus = new OpusStream(opusRate, (page) => this.#sendBytes(page), () => this.#giveUp("opus_failed"));
      this.#compression = this.#opus.compression;
    }
    this.#socket = new WebSocket(url, protocols);
    this.#socket.addEventListener("open", () => this.#onOpen());
    this.#socket.addEventListener("message", ({ data }) => this.#onMessage(data));
    this.#socket.addEventListener("close", ({ code }) => this.#end(code, null));
    this.#timer = setTimeout(() => this.#giveUp("connect_timeout"), CONNECT_TIMEOUT_MS);
  }

  get open() {
    return !this.#ended && this.#socket.readyState === WebSocket.OPEN;
  }

  /** Bytes of samples that the network has not taken yet. */
  get buffered() {
    return this.#socket.bufferedAmount * this.#compression;
  }

  /** @param {Int16Array<ArrayBuffer>} samples */
  sendAudio(samples) {
    if (this.#opus === null) this.#sendBytes(samples);
    else if (!this.#ended) this.#opus.encode(samples);
  }

  /** Asks for the last words, behind all audio. */
  async sendStop() {
    await this.#opus?.end();
    this.send({ type: "stop" });
  }

  /** @param {Record<string, unknown>} message */
  send(message) {
    if (this.open) this.#socket.send(JSON.stringify(message));
  }

  /** Ends it without a word to the listener. */
  close() {
    this.#ended = true;
    this.#opus?.close();
    clearTimeout(this.#timer);
    this.#socket.close(1000);
  }

  /** @param {BufferSource & ArrayBufferView<ArrayBuffer>} bytes */
  #sendBytes(bytes) {
    if (this.open) this.#socket.send(bytes);
  }

  #onOpen() {
    if (this.#ended) return;
    clearTimeout(this.#timer);
    this.#heardAt = performance.now();
    this.#timer = setTimeout(() => this.#heartbeat(), HEARTBEAT_MS);
    this.#listener.opened();
  }

  /** @param {unknown} data */
  #onMessage(data) {
    if (this.#ended) return;
    this.#heardAt = performance.now();
    const message = parse(data);
    if (message !== null) this.#listener.said(message);
  }

  /** Finds a connection that died without a word; any message counts as an answer. */
  #heartbeat() {
    if (this.#pingedAt > this.#heardAt) {
      this.#giveUp("connection_lost");
      return;
    }
    this.#pingedAt = performance.now();
    this.send({ type: "ping", id: `heartbeat-${Math.round(this.#pingedAt)}` });
    this.#timer = setTimeout(() => this.#heartbeat(), HEARTBEAT_MS);
  }

  /** @param {string} reason */
  #giveUp(reason) {
    this.#end(1006, reason); // now: a dead connection's own close event may be minutes away
    this.#socket.close(4000);
  }

  /**
   * @param {number} code
   * @param {string | null} reason
   */
  #end(code, reason) {
    if (this.#ended) return;
    this.#ended = true;
    this.#opus?.close();
    clearTimeout(this.#timer);
    this.#listener.ended(code, reason);
  }
}

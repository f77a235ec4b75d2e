/**
 * Browser client for Scribewire's native protocol: one session, over as many connections as it takes.
 *
 *     const session = new ScribewireSession({ sampleRate: 16000, options: { language: "en" } });
 *     session.addEventListener("partial", ({ detail }) => show(detail.stable, detail.unstable));
 *     session.addEventListener("final", ({ detail }) => keep(detail.text));
 *     session.addEventListener("closed", ({ detail }) => console.log(detail.code));
 *     session.connect();
 *     session.sendAudio(int16Samples); // at once: what comes before the server is ready is kept
 *     const done = await session.stop();
 *
 * Every server message is dispatched as a `CustomEvent` named after its `type`, with the message as
 * `detail`, and once more as `message`. Errors and warnings that the client finds itself are marked
 * `local: true`. The client's own events: `state`; `disconnected`, `reconnected`; `closed`, the last.
 *
 * Audio is kept until it is confirmed. A connection that is lost is opened again with growing delays,
 * and the session goes on, in the same server or in another: no word is lost and none comes twice.
 * Partials of the open segment may begin anew. If the connection is away for so long that audio must
 * be dropped, a `warning` of code `audio_gap` says from when to when.
 */

import { Connection } from "./connection.js";
import { hasOpus } from "./opus.js";
import { askWhyRefused, isRetryable } from "./protocol.js";
import { Timers } from "./timers.js";
import { UnconfirmedAudio } from "./unconfirmed-audio.js";

/** @typedef {import("./protocol.js").SessionState} SessionState */
/** @typedef {import("./protocol.js").Ready} Ready */
/** @typedef {import("./protocol.js").Notice} Notice */
/** @typedef {import("./protocol.js").Done} Done */

const KEEP_MS = 300_000; // of unconfirmed audio while there is no connection: 10 MB at 16 kHz
const STOP_TIMEOUT_MS = 30_000; // without any progress
const FIRST_DELAY_MS = 400;
const LONGEST_DELAY_MS = 15_000;
const SOCKET_BUFFER_MS = 1_000; // audio handed to the browser's socket ahead of the network
const AHEAD_MS = 1_000; // unsent audio at which `whenRoom` asks for more
const MARGIN_MS = 500; // below the server's limit of unconfirmed audio
const POLL_MS = 50;
const OPTIONS_ID = "options";

export class ScribewireSession extends EventTarget {
  /** @type {Connection | null} */
  #connection = null;
  /** @type {SessionState} */
  #state = "idle";
  #audio = new UnconfirmedAudio();
  /** The server said `ready` on this connection: audio may be sent. */
  #ready = false;
  /** @type {Ready | null} */
  #server = null;
  /** The connection stood: what ends it now is no refused handshake. */
  #opened = false;
  #attempt = 0;
  #lastSegment = 0;
  /** Where the last `final` ends. */
  #saidMs = 0;
  #lastSeq = 0;
  /** Of the last `confirmed`. */
  #confirmed = { samples: 0, checkpoint: "" };
  #progressAt = 0;
  #stopSent = false;
  /** Options changed by `configure`, as they were asked for. @type {Record<string, any>} */
  #changed = {};
  /** @type {Done | null} */
  #done = null;
  /** @type {Notice | null} */
  #error = null;
  /** The last words of a server that stops; see `#withholds`. @type {any[]} */
  #withheld = [];
  /** @type {((room: boolean) => void)[]} */
  #waiting = [];
  #timers = new Timers();
  #opusFailed = false;
  /** @type {Promise<Done | null> | null} */
  #stopping = null;
  #onOnline = () => this.#timers.isRunning("retry") && this.#dial();

  /**
   * @param {object} setup
   * @param {number} setup.sampleRate of the mono 16-bit samples given to `sendAudio`, in Hz
   * @param {Record<string, any>} [setup.options] more session options; with `encoding: "opus"` a tenth
   *   of the bytes is sent, where the browser can encode it
   * @param {string} [setup.url] default: `/v1/stream` of the page's own server
   * @param {string | (() => string | undefined)} [setup.token] short-lived token of `POST /v1/tokens`,
   *   where the server asks for one; a function is asked at each connection
   */
  constructor({ sampleRate, options = {}, url = "/v1/stream", token }) {
    super();
    this.sampleRate = sampleRate;
    this.options = { ...options };
    this.token = token;
    this.url = new URL(url, location.href);
    this.url.protocol = this.url.protocol.replace("http", "ws");
  }

  /** @returns {SessionState} */
  get state() {
    return this.#state;
  }

  /** Whether audio goes out now; false while connecting and while the connection is lost. */
  get connected() {
    return this.#ready;
  }

  /** Audio received by `sendAudio`, in milliseconds. */
  get audioMs() {
    return this.#ms(this.#audio.end);
  }

  /** Audio that is in finals or was silence, in milliseconds from the beginning. */
  get confirmedMs() {
    return this.#ms(this.#audio.from);
  }

  /** Audio received by `sendAudio` that the network has not taken yet, in milliseconds. */
  get unsentMs() {
    return this.#ms(this.#audio.end - this.#audio.sent + (this.#connection?.buffered ?? 0) / 2);
  }

  /** What a new connection says to go on with the session; null: there is none yet. */
  get resumePoint() {
    const { session, resume, epoch } = this.#server ?? {};
    if (resume === undefined) return null;
    const { samples, checkpoint } = this.#confirmed;
    const from = Math.max(samples, this.#audio.from);
    const point = { session, resume, epoch, last_seq: this.#lastSeq, last_segment: this.#lastSegment, from_sample: from };
    return checkpoint ? { ...point, checkpoint } : point;
  }

  connect() {
    if (this.#state !== "idle") throw new Error(`connect() in state ${this.#state}, expected idle`);
    this.#enter("connecting");
    addEventListener("online", this.#onOnline);
    this.#dial();
  }

  /**
   * Takes mono 16-bit samples of any number; keeps them until the server confirms them.
   * The array is kept, not copied: it must not be written to again.
   * @param {Int16Array<ArrayBuffer>} samples
   */
  sendAudio(samples) {
    if (this.#state !== "connecting" && this.#state !== "open") return;
    this.#audio.push(samples);
    const excess = this.#audio.end - this.#samples(KEEP_MS);
    if (this.#ready) {
      if (excess > this.#audio.sent) return this.#fail("uplink_slow", "Audio comes faster than it can be sent.");
    } else if (excess > this.#audio.from) {
      this.#audio.forget(excess);
    }
    this.#pump();
  }

  /**
   * For audio that is there already: waits until more of it should be given to `sendAudio`.
   * @returns {Promise<boolean>} false: no more is taken
   */
  whenRoom() {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#pump();
    });
  }

  /**
   * Closes the open segment now; its `final` carries `id`.
   * @param {string} [id]
   */
  finalize(id) {
    this.#audio.finalize(id);
    this.#pump();
  }

  /**
   * Changes options of the running session: `language`, `context`, `endpoint_ms`, `partials`.
   * @param {Record<string, any>} options
   */
  configure(options) {
    if (!this.#ready) {
      Object.assign(this.options, options);
      return;
    }
    Object.assign(this.#changed, options);
    this.#connection?.send({ ...options, type: "configure" });
  }

  /**
   * Sends what is left, asks for the last final and waits for it.
   * @returns {Promise<Done | null>} null: the session ended without the server's last word
   */
  stop() {
    this.#stopping ??= new Promise((resolve) => {
      if (this.#state === "idle" || this.#state === "closed") return resolve(null);
      this.addEventListener("closed", () => resolve(this.#done), { once: true });
      this.#progressAt = performance.now();
      this.#enter("stopping");
      this.#watchStop();
      this.#pump();
    });
    return this.#stopping;
  }

  /** Ends the session at once, without waiting for the last words. */
  close() {
    this.#end(1000);
  }

  // One connection

  #dial() {
    this.#timers.cancel("retry");
    const url = new URL(this.url);
    // What comes in a first message may be long; the rest is refused before the session opens.
    const { context, ...options } = this.options;
    const opus = options.encoding === "opus" && hasOpus() && !this.#opusFailed;
    const audio = { encoding: opus ? "opus" : "pcm_s16le", sample_rate: this.sampleRate };
    Object.assign(options, audio, this.resumePoint);
    for (const [name, value] of Object.entries(options)) url.searchParams.set(name, String(value));
    // A browser drops the connection if it offers subprotocols and the server picks none,
    // so they are offered only where the token needs them.
    const token = this.#token;
    const protocols = token ? ["scribewire.json.v1", "scribewire.auth", token] : [];
    this.#opened = false;
    const listener = {
      opened: () => {
        this.#opened = true;
        if (context) this.#connection?.send({ type: "configure", id: OPTIONS_ID, context });
      },
      said: (/** @type {any} */ message) => this.#onMessage(message),
      ended: (/** @type {number} */ code, /** @type {string | null} */ reason) => this.#onEnded(code, reason),
    };
    this.#connection = new Connection(url, protocols, listener, opus ? this.sampleRate : null);
  }

  /** @param {any} message */
  #onMessage(message) {
    if (!this.#withholds(message)) this.#hear(message);
  }

  /**
   * Keeps the words of a server that stops which are cut where it stopped, maybe amid one: another
   * goes on from what was said before them, and says the whole segment.
   * @param {any} message
   */
  #withholds(message) {
    const stops = this.#error?.code === "shutting_down" && this.#server?.resume !== undefined;
    const last = message.type === "final" && message.reason === "drain";
    const behind = message.type === "confirmed" && this.#withheld.length > 0;
    const withheld = stops && (last || behind);
    if (withheld) this.#withheld.push(message);
    return withheld;
  }

  /** @param {any} message */
  #hear(message) {
    if (typeof message.seq === "number") this.#lastSeq = message.seq;
    if (message.type !== "pong") this.#progressAt = performance.now();
    if (message.type === "ready") this.#onReady(message);
    else if (message.type === "final") [this.#lastSegment, this.#saidMs] = [message.segment, message.end_ms];
    else if (message.type === "confirmed") this.#confirm(message);
    else if (message.type === "error") this.#error = message;
    else if (message.type === "done") this.#done = message;

    this.#dispatch(message.type, message);
    this.#dispatch("message", message);
    if (message.type === "error" && message.id === OPTIONS_ID) this.#end(4520);
    this.#pump();
  }

  /** @param {Ready} ready */
  #onReady(ready) {
    const again = this.#server !== null;
    this.#server = ready;
    for (const name of Object.keys(this.#changed)) this.options[name] = ready.options[name] ?? "auto";
    if (this.#ready) return; // it answers a `configure`
    this.#ready = true;
    this.#error = null;
    this.#withheld = [];
    this.#audio.rewind(ready.next_sample ?? 0, ready.finalizes ?? 0);
    if (this.#state === "connecting") this.#enter("open");
    if (!again) return;
    const lost = Object.entries(this.#changed).filter(([name, value]) => this.options[name] !== value);
    if (lost.length > 0) this.configure(Object.fromEntries(lost));
    this.#dispatch("reconnected", { resent_ms: this.#ms(this.#audio.end - this.#audio.sent) });
    if (!ready.resumed) this.#tellGap();
  }

  /** Without a checkpoint the server cannot know how much was said before the audio that is left. */
  #tellGap() {
    const [from_ms, to_ms] = [this.#saidMs, this.#ms(this.#audio.from)];
    if (this.#confirmed.checkpoint || this.#lastSegment === 0 || to_ms <= from_ms) return;
    this.#dispatch("warning", { type: "warning", code: "audio_gap", message: "", from_ms, to_ms, local: true });
  }

  /** @param {{ samples: number, finalizes: number, checkpoint: string }} confirmed */
  #confirm(confirmed) {
    this.#confirmed = confirmed;
    this.#audio.forget(Math.min(confirmed.samples, this.#audio.sent), confirmed.finalizes);
    this.#attempt = 0;
  }

  /**
   * Sends audio as fast as network and server take it; after the last of it, `stop`.
   * Whoever waits for room is told.
   */
  #pump() {
    if (this.#ready && !this.#stopSent) this.#upload();
    const takes = this.#state === "connecting" || this.#state === "open";
    if (takes && this.unsentMs > AHEAD_MS) return;
    for (const resolve of this.#waiting.splice(0)) resolve(takes);
  }

  #upload() {
    const connection = /** @type {Connection} */ (this.#connection);
    const { max_unconfirmed_ms: limitMs = 6000, max_frame_bytes: frameBytes = 4096 } = this.#server?.limits ?? {};
    const before = this.#audio.sent;
    const outcome = this.#audio.sendTo(connection, {
      unconfirmed: this.#samples(limitMs - MARGIN_MS),
      buffered: this.#samples(SOCKET_BUFFER_MS),
      frame: Math.floor(frameBytes / 2),
    });
    if (this.#audio.sent > before) this.#progressAt = performance.now();
    if (outcome === "blocked") this.#timers.start("poll", POLL_MS, () => this.#pump());
    if (this.#state === "stopping" && this.#audio.sent === this.#audio.end) {
      this.#stopSent = true;
      connection.sendStop();
    }
  }

  // The end of a connection, and of the session

  /**
   * @param {number} code
   * @param {string | null} reason
   */
  async #onEnded(code, reason) {
    const refusal = this.#opened || reason !== null ? null : await askWhyRefused(this.url, this.#token);
    if (this.#state === "closed") return;
    if (refusal !== null) {
      this.#error = refusal;
      this.#dispatch("error", refusal);
      if (!refusal.retryable) return this.#end(code);
    }
    this.#opusFailed ||= reason === "opus_failed"; // the next connection sends samples
    if (reason !== null) this.#error = localError(reason, "The server does not answer.");
    const said = this.#done !== null && this.#stopSent;
    // A server that restarts may say `done` before it heard the last of the audio.
    const finished = said && (code !== 1012 || this.#audio.from === this.#audio.end);
    if (finished || this.#server === null || !isRetryable(code)) return this.#end(code);
    this.#ready = this.#stopSent = false;
    this.#connection = null;
    this.#done = null;
    this.#timers.cancel("poll");
    const delay = Math.min(FIRST_DELAY_MS * 2 ** this.#attempt, LONGEST_DELAY_MS) * (0.75 + Math.random() / 2);
    const retryInMs = Math.max(delay, this.#error?.retry_after_ms ?? 0);
    this.#attempt += 1;
    this.#timers.start("retry", retryInMs, () => this.#dial());
    this.#dispatch("disconnected", { attempt: this.#attempt, retry_in_ms: retryInMs, code, error: this.#error });
  }

  #watchStop() {
    if (performance.now() - this.#progressAt > STOP_TIMEOUT_MS) {
      this.#fail("stop_timeout", "The server did not finish the last words in time.");
    } else this.#timers.start("stop", 1000, () => this.#watchStop());
  }

  /**
   * @param {string} code
   * @param {string} message
   */
  #fail(code, message) {
    this.#error = localError(code, message);
    this.#dispatch("error", this.#error);
    this.#end(1006);
  }

  /** @param {number} code */
  #end(code) {
    if (this.#state === "closed") return;
    for (const message of this.#withheld.splice(0)) this.#hear(message); // nobody goes on
    this.#timers.cancelAll();
    removeEventListener("online", this.#onOnline);
    this.#connection?.close();
    this.#ready = false;
    this.#enter("closed");
    this.#pump();
    this.#dispatch("closed", { code, opened: this.#server !== null, done: this.#done, error: this.#error });
  }

  /** @param {SessionState} state */
  #enter(state) {
    const previous = this.#state;
    this.#state = state;
    this.#dispatch("state", { state, previous });
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #dispatch(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  get #token() {
    return typeof this.token === "function" ? this.token() : this.token;
  }

  /** @param {number} ms */
  #samples(ms) {
    return Math.round((ms * this.sampleRate) / 1000);
  }

  /** @param {number} samples */
  #ms(samples) {
    return (samples * 1000) / this.sampleRate;
  }
}

/**
 * @param {string} code
 * @param {string} message
 */
function localError(code, message) {
  return { type: /** @type {const} */ ("error"), code, message, retryable: true, local: true };
}

/**
 * Browser client for Scribewire's native protocol: one session over one WebSocket.
 *
 *     const session = new ScribewireSession({ sampleRate: 48000, options: { language: "en" } });
 *     session.addEventListener("partial", ({ detail }) => show(detail.stable, detail.unstable));
 *     session.addEventListener("final", ({ detail }) => keep(detail.text));
 *     session.addEventListener("closed", ({ detail }) => console.log(detail.code));
 *     session.connect();
 *     session.sendAudio(int16Samples); // at once: what comes before the socket is open is kept
 *     const done = await session.stop();
 *
 * Every server message is dispatched as a `CustomEvent` named after its `type`, with the message
 * as `detail`, and once more as `message`. Two more events are the client's own: `state` and
 * `closed`. Errors the client finds itself are `error` events too, marked `local: true`.
 */

/**
 * @typedef {"idle" | "connecting" | "open" | "stopping" | "closed"} ConnectionState
 *
 * @typedef {object} Ready
 * @property {"ready"} type
 * @property {string} session
 * @property {string} epoch
 * @property {string} resume secret for taking the session up again
 * @property {string} model
 * @property {number} sample_rate
 * @property {string | null} [language]
 * @property {{ max_unconfirmed_ms?: number }} [limits]
 *
 * @typedef {object} Partial
 * @property {"partial"} type
 * @property {number} segment
 * @property {number} revision
 * @property {string} stable
 * @property {string} unstable
 * @property {number} start_ms
 * @property {number} end_ms
 * @property {string | null} [language]
 * @property {number} lag_ms
 *
 * @typedef {object} Final
 * @property {"final"} type
 * @property {number} segment
 * @property {string} text
 * @property {boolean} revised
 * @property {number} start_ms
 * @property {number} end_ms
 * @property {string | null} [language]
 * @property {"endpoint" | "finalize" | "length" | "stop" | "drain"} reason
 * @property {string} [id] of the `finalize` it answers
 *
 * @typedef {object} Suppressed
 * @property {"suppressed"} type
 * @property {number} segment
 * @property {"silence" | "repetition" | "low_evidence"} reason
 * @property {number} from_ms
 * @property {number} to_ms
 *
 * @typedef {object} Notice an `error` or a `warning`
 * @property {"error" | "warning"} type
 * @property {string} code
 * @property {string} message
 * @property {boolean} [retryable]
 * @property {number} [retry_after_ms]
 * @property {boolean} [local] found by this client, not said by the server
 *
 * @typedef {object} Done
 * @property {"done"} type
 * @property {number} duration_ms
 * @property {number} segments
 *
 * @typedef {object} Closed
 * @property {number} code WebSocket close code; 1006 when there was no close frame
 * @property {boolean} opened whether the connection ever stood
 * @property {boolean} retryable whether connecting again can help
 * @property {Done | null} done the server's last word, if it came
 * @property {Notice | null} error the last error, if there was one
 */

const CONNECT_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 20_000;
const HEARTBEAT_MS = 15_000; // browsers have no WebSocket ping of their own
const DEFAULT_UNCONFIRMED_MS = 30_000; // until `ready` names the server's limit
const SOCKET_BUFFER_MS = 1_000; // audio handed to the browser's socket ahead of the network
const DRAIN_POLL_MS = 50;

/** Audio by sample offset: what the server has not confirmed, and what was not yet sent. */
class UnconfirmedAudio {
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
   * The next chunk to send, taken as sent; undefined when all are.
   * @returns {Int16Array<ArrayBuffer> | undefined}
   */
  next() {
    let start = this.end;
    for (let i = this.#chunks.length - 1; i >= 0 && start > this.sent; i -= 1) {
      const chunk = this.#chunks[i];
      start -= chunk.length;
      if (start > this.sent) continue;
      const unsent = chunk.subarray(this.sent - start);
      this.sent += unsent.length;
      return unsent;
    }
    return undefined;
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
}

export class ScribewireSession extends EventTarget {
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {ConnectionState} */
  #state = "idle";
  #audio = new UnconfirmedAudio();
  #maxUnconfirmed;
  #opened = false;
  #lastSeq = 0;
  #lastSegment = 0;
  #lastMessageAt = 0;
  #pingSentAt = 0;
  #stopSent = false;
  /** @type {Ready | null} */
  #ready = null;
  /** @type {Done | null} */
  #done = null;
  /** @type {Notice | null} */
  #error = null;
  /** @type {Set<ReturnType<typeof setTimeout>>} */
  #timers = new Set();
  /** @type {Promise<Done | null> | null} */
  #stopping = null;

  /**
   * @param {object} setup
   * @param {number} setup.sampleRate of the mono 16-bit samples given to `sendAudio`, in Hz
   * @param {Record<string, string | number | boolean>} [setup.options] more session options
   * @param {string} [setup.url] default: `/v1/stream` of the page's own server
   * @param {string} [setup.token] short-lived token of `POST /v1/tokens`, where the server asks for one
   */
  constructor({ sampleRate, options = {}, url = "/v1/stream", token }) {
    super();
    this.sampleRate = sampleRate;
    this.options = options;
    this.token = token;
    this.url = new URL(url, location.href);
    this.url.protocol = this.url.protocol.replace("http", "ws");
    this.#maxUnconfirmed = this.#samples(DEFAULT_UNCONFIRMED_MS);
  }

  /** @returns {ConnectionState} */
  get state() {
    return this.#state;
  }

  /** What the server said of the session; null before `ready`. */
  get ready() {
    return this.#ready;
  }

  /** What a new connection would need to take this session up where it was lost. */
  get resumePoint() {
    return {
      session: this.#ready?.session,
      resume: this.#ready?.resume,
      epoch: this.#ready?.epoch,
      last_seq: this.#lastSeq,
      last_segment: this.#lastSegment,
      from_sample: this.#audio.from,
    };
  }

  /** Audio received by `sendAudio` that the network has not taken yet, in milliseconds. */
  get unsentMs() {
    const inSocket = (this.#socket?.bufferedAmount ?? 0) / 2;
    return ((this.#audio.end - this.#audio.sent + inSocket) * 1000) / this.sampleRate;
  }

  connect() {
    if (this.#state !== "idle") throw new Error(`connect() in state ${this.#state}, expected idle`);
    const url = new URL(this.url);
    const options = { ...this.options, encoding: "pcm_s16le", sample_rate: this.sampleRate };
    for (const [name, value] of Object.entries(options)) url.searchParams.set(name, String(value));

    // A browser drops the connection if it offers subprotocols and the server picks none,
    // so they are offered only where the token needs them.
    const protocols = this.token ? ["scribewire.json.v1", "scribewire.auth", this.token] : [];
    this.#enter("connecting");
    const socket = new WebSocket(url, protocols);
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => this.#onOpen());
    socket.addEventListener("message", ({ data }) => this.#onMessage(data));
    socket.addEventListener("close", ({ code }) => this.#end(code));
    this.#socket = socket;
    this.#after(CONNECT_TIMEOUT_MS, () => {
      if (!this.#opened) this.#fail("connect_timeout", "The server did not answer.");
    });
  }

  /**
   * Takes mono 16-bit samples of any number; keeps them until the server confirms them.
   * The array is kept, not copied: it must not be written to again.
   * @param {Int16Array<ArrayBuffer>} samples
   */
  sendAudio(samples) {
    if (this.#state !== "connecting" && this.#state !== "open") return;
    this.#audio.push(samples);
    const excess = this.#audio.end - this.#maxUnconfirmed;
    if (excess > this.#audio.sent) {
      // Dropping unsent audio would shift every later offset: better to say so and end.
      this.#fail("uplink_slow", "The network does not take the audio as fast as it is spoken.");
      return;
    }
    this.#audio.forget(excess);
    this.#pump();
  }

  /**
   * Closes the open segment now; its `final` carries `id`.
   * @param {string} [id]
   */
  finalize(id) {
    this.#send({ type: "finalize", ...(id === undefined ? {} : { id }) });
  }

  /**
   * Changes options of the running session: `language`, `context`, `endpoint_ms`, `partials`.
   * @param {Record<string, unknown>} options
   */
  configure(options) {
    this.#send({ ...options, type: "configure" });
  }

  /**
   * Sends what is left, asks for the last final and waits for it.
   * @returns {Promise<Done | null>} null: the connection ended without the server's last word
   */
  stop() {
    this.#stopping ??= new Promise((resolve) => {
      if (this.#state === "idle" || this.#state === "closed") return resolve(null);
      this.addEventListener("closed", () => resolve(this.#done), { once: true });
      this.#enter("stopping");
      this.#after(STOP_TIMEOUT_MS, () =>
        this.#fail("stop_timeout", "The server did not finish the last words in time."),
      );
      this.#pump();
    });
    return this.#stopping;
  }

  /** Ends the connection at once, without waiting for the last words. */
  close() {
    this.#socket?.close(1000);
    this.#end(1000);
  }

  #onOpen() {
    if (this.#state === "closed") return;
    this.#opened = true;
    this.#lastMessageAt = performance.now();
    if (this.#state === "connecting") this.#enter("open");
    this.#after(HEARTBEAT_MS, () => this.#heartbeat());
    this.#pump();
  }

  /** @param {unknown} data */
  #onMessage(data) {
    if (this.#state === "closed") return;
    this.#lastMessageAt = performance.now();
    const message = parse(data);
    if (message === null) return;
    if (typeof message.seq === "number") this.#lastSeq = message.seq;

    if (message.type === "ready") {
      this.#ready = /** @type {Ready} */ (message);
      const limit = this.#ready.limits?.max_unconfirmed_ms;
      if (typeof limit === "number" && limit > 0) this.#maxUnconfirmed = this.#samples(limit);
    } else if (message.type === "final") this.#lastSegment = message.segment;
    else if (message.type === "confirmed") this.#audio.forget(message.samples);
    else if (message.type === "error") this.#error = /** @type {Notice} */ (message);
    else if (message.type === "done") this.#done = /** @type {Done} */ (message);

    this.#dispatch(message.type, message);
    this.#dispatch("message", message);
  }

  /** Sends audio as fast as the network takes it; after the last of it, `stop`. */
  #pump() {
    const socket = this.#socket;
    if (socket === null || socket.readyState !== WebSocket.OPEN || this.#stopSent) return;
    const room = this.#samples(SOCKET_BUFFER_MS) * 2;
    while (socket.bufferedAmount < room) {
      const chunk = this.#audio.next();
      if (chunk === undefined) break;
      socket.send(chunk);
    }
    if (this.#state !== "stopping") return;
    if (this.#audio.sent < this.#audio.end) {
      this.#after(DRAIN_POLL_MS, () => this.#pump());
    } else {
      this.#stopSent = true;
      this.#send({ type: "stop" });
    }
  }

  /** Finds a connection that died without a word; any message counts as an answer. */
  #heartbeat() {
    if (this.#pingSentAt > this.#lastMessageAt) {
      this.#fail("connection_lost", "The server does not answer any more.");
      return;
    }
    this.#pingSentAt = performance.now();
    this.#send({ type: "ping", id: `heartbeat-${Math.round(this.#pingSentAt)}` });
    this.#after(HEARTBEAT_MS, () => this.#heartbeat());
  }

  /** @param {Record<string, unknown>} message */
  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /**
   * @param {string} code
   * @param {string} message
   */
  #fail(code, message) {
    if (this.#state === "closed") return;
    this.#error = { type: "error", code, message, retryable: true, local: true };
    this.#dispatch("error", this.#error);
    this.#socket?.close(4000);
    this.#end(1006); // now: a dead connection's own close event may be minutes away
  }

  /** @param {number} code */
  #end(code) {
    if (this.#state === "closed") return;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#enter("closed");
    /** @type {Closed} */
    const closed = {
      code,
      opened: this.#opened,
      retryable: isRetryable(code),
      done: this.#done,
      error: this.#error,
    };
    this.#dispatch("closed", closed);
  }

  /** @param {ConnectionState} state */
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

  /**
   * @param {number} delayMs
   * @param {() => void} action
   */
  #after(delayMs, action) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, delayMs);
    this.#timers.add(timer);
  }

  /** @param {number} ms */
  #samples(ms) {
    return Math.round((ms * this.sampleRate) / 1000);
  }
}

/**
 * @param {unknown} data
 * @returns {any} the message; null: not one
 */
function parse(data) {
  if (typeof data !== "string") return null;
  try {
    const message = JSON.parse(data);
    return typeof message?.type === "string" ? message : null;
  } catch {
    return null;
  }
}

/**
 * The protocol's rule: 4000–4499 reconnect, 4500–4999 do not.
 * @param {number} code
 */
function isRetryable(code) {
  return code >= 4000 ? code < 4500 : code === 1001 || code === 1006 || code === 1011 || code === 1012;
}

/** A published session as its viewers follow it: the connection, and what is said in the room. */

import { isRetryable, parse } from "./protocol.js";

const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 15_000;
const STALE_MS = 20_000;

/** @typedef {"waiting" | "live" | "reconnecting" | "failed"} FeedState */

/**
 * @typedef {object} Line
 * @property {string} key
 * @property {string} stable text that stays; of a final, all of it
 * @property {string} unstable
 * @property {string} language
 * @property {boolean} final
 * @property {string} session
 * @property {number} segment
 * @property {number} revision of a partial, or of what was corrected in a final
 */

/** What was said, from messages in whatever order a lost connection leaves them. */
export class RoomTranscript {
  /** Lines that can still change, by session and segment. @type {Map<string, Line>} */
  #open = new Map();
  /** Of finals what a correction does not say again. @type {Map<string, { language: string, revision: number }>} */
  #settled = new Map();
  #session = "";

  /**
   * @param {any} message of the room
   * @returns {{ shown: Line[], withdrawn: string[] }} lines that are new or changed; keys of those to take away.
   * A final whose text was corrected away is shown, without any.
   */
  take(message) {
    const key = `${message.session}/${message.segment}`;
    if (message.type === "corrected") return { shown: this.#takeCorrected(key, message), withdrawn: [] };
    const withdrawn = this.#changeSession(message.session);
    if (message.type === "partial") return { shown: this.#takePartial(key, message), withdrawn };
    if (message.type === "final") {
      const known = this.#open.delete(key);
      const { language, revision } = { language: message.language ?? "", revision: message.revision ?? 0 };
      this.#settled.set(key, { language, revision });
      if (message.text.trim() || revision > 0) return { shown: [final(key, message, language, revision)], withdrawn };
      return { shown: [], withdrawn: known ? [...withdrawn, key] : withdrawn };
    }
    if (message.type === "suppressed" && this.#open.delete(key)) withdrawn.push(key);
    if (message.type === "left") withdrawn.push(...this.#dropOpen());
    return { shown: [], withdrawn };
  }

  /**
   * @param {string} key
   * @param {any} message
   */
  #takeCorrected(key, message) {
    const known = this.#settled.get(key);
    if (known === undefined || message.revision <= known.revision) return [];
    known.revision = message.revision;
    return [final(key, message, known.language, known.revision)];
  }

  /**
   * @param {string} key
   * @param {any} message
   */
  #takePartial(key, { session, segment, revision, stable, unstable, language }) {
    if (this.#settled.has(key) || revision <= (this.#open.get(key)?.revision ?? 0)) return [];
    const line = { key, session, segment, revision, stable, unstable, language: language ?? "", final: false };
    this.#open.set(key, line);
    return [line];
  }

  /** Nothing completes what an earlier session left open. @param {string | undefined} session */
  #changeSession(session) {
    if (!session || session === this.#session) return [];
    this.#session = session;
    return this.#dropOpen();
  }

  #dropOpen() {
    const keys = [...this.#open.keys()];
    this.#open.clear();
    return keys;
  }
}

/**
 * @param {string} key
 * @param {any} message
 * @param {string} language
 * @param {number} revision
 * @returns {Line}
 */
function final(key, { session, segment, text }, language, revision) {
  return { key, session, segment, revision, stable: text, unstable: "", language, final: true };
}

/**
 * Follows a room for as long as the page is open; reconnects by itself.
 * Events: `message` (detail: the message), `state` (detail: a `FeedState`), `refused` (detail: the error),
 * `objection` (detail: the error that answers something sent).
 */
export class RoomFeed extends EventTarget {
  #room;
  #token;
  #seen = 0;
  #retries = 0;
  #heardAt = 0;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {any} */
  #error = null;

  /**
   * @param {string} room
   * @param {string} [token] a viewer's or an editor's
   */
  constructor(room, token) {
    super();
    this.#room = room;
    this.#token = token;
    // A phone that slept has a connection that is dead, or is waiting long for the next attempt.
    addEventListener("online", () => this.#refresh());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#refresh());
  }

  start() {
    clearTimeout(this.#timer);
    this.#error = null;
    const url = new URL(`/v1/rooms/${encodeURIComponent(this.#room)}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    if (this.#seen > 0) url.searchParams.set("after", String(this.#seen));
    const socket = new WebSocket(url, this.#token ? ["scribewire.auth", this.#token] : []);
    this.#socket = socket;
    socket.addEventListener("open", () => this.#socket === socket && this.#onOpen());
    socket.addEventListener("message", ({ data }) => this.#socket === socket && this.#onMessage(data));
    socket.addEventListener("close", ({ code }) => this.#socket === socket && this.#onClose(code));
  }

  #onOpen() {
    this.#heardAt = performance.now();
    this.#tell("state", "waiting");
  }

  /** @param {unknown} data */
  #onMessage(data) {
    this.#heardAt = performance.now();
    const message = parse(data);
    if (message === null) return;
    if (message.type === "error") {
      if (message.id) this.#tell("objection", message);
      else this.#error = message;
      return;
    }
    this.#retries = 0;
    this.#seen = message.seq ?? this.#seen;
    this.#tell("state", message.type === "left" || message.type === "done" ? "waiting" : "live");
    this.#tell("message", message);
  }

  /** @param {number} code */
  #onClose(code) {
    this.#socket = null;
    if (!isRetryable(code) && code !== 1000) {
      this.#tell("state", "failed");
      this.#tell("refused", this.#error);
      return;
    }
    this.#tell("state", "reconnecting");
    // Spread out: a whole lecture hall loses its network at once.
    const delayMs = Math.min(FIRST_RETRY_MS * 2 ** this.#retries, MAX_RETRY_MS) * (0.5 + Math.random());
    this.#retries += 1;
    this.#timer = setTimeout(() => this.start(), Math.max(delayMs, this.#error?.retry_after_ms ?? 0));
  }

  /**
   * Says something to the room, which only editors may.
   * @param {object} message
   * @returns {boolean} whether there is a connection for it
   */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #refresh() {
    if (this.#socket !== null && performance.now() - this.#heardAt < STALE_MS) return;
    this.#socket?.close();
    this.start();
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** Room and token of a page's address; the part behind `#` is never sent to a server. */
export function roomOfAddress() {
  const query = new URLSearchParams(location.search);
  const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? query.get("token") ?? undefined;
  return { room: query.get("room") ?? "", token, query };
}

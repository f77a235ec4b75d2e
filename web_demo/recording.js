/** One press of a button until its end: a source of audio, and the session that transcribes it. */

import { AudioFile } from "./audio-file.js";
import { Capture } from "./capture.js";
import { ScribewireSession } from "./scribewire.js";

/** @typedef {import("./view.js").Kind} Kind */

const DEAD_SILENCE_FRAMES = 40; // about 4 s of digital zeros: a muted or wrong input

/**
 * Events: `began` when the source is open and the session connects; `frame` (detail `{ rms, peak }`),
 * `dead`, `interrupted`, `resumed` and `ended` of a live source; `failed` (detail: what opening the
 * source threw).
 */
export class Recording extends EventTarget {
  /** @type {Capture | null} */
  #capture = null;
  /** @type {AudioFile | null} */
  #file = null;
  /** @type {ScribewireSession | null} */
  #session = null;
  #cancelled = false;
  #beganAt = 0;

  /**
   * @param {Kind} kind
   * @param {Record<string, any>} options of the session
   * @param {() => string | undefined} token for servers that ask for one
   * @param {File} [file] for the kind `file`
   */
  constructor(kind, options, token, file) {
    super();
    this.kind = kind;
    this.options = options;
    this.token = token;
    this.file = file;
  }

  /** Null until `began`. */
  get session() {
    return this.#session;
  }

  /** Share of the file that is transcribed. */
  get progress() {
    return this.#file && this.#session ? Math.min(1, this.#session.confirmedMs / this.#file.durationMs) : 0;
  }

  /** How many times faster than it was spoken the file is transcribed. */
  get speed() {
    return (this.#session?.confirmedMs ?? 0) / (performance.now() - this.#beganAt);
  }

  async start() {
    try {
      if (this.file) this.#file = await AudioFile.open(this.file);
      else this.#capture = await (this.kind === "tab" ? Capture.tab() : Capture.microphone());
    } catch (error) {
      if (!this.#cancelled) this.#dispatch("failed", error);
      return;
    }
    if (this.#cancelled) {
      this.#capture?.close();
      return;
    }
    const { sampleRate } = /** @type {Capture | AudioFile} */ (this.#capture ?? this.#file);
    this.#session = new ScribewireSession({ sampleRate, options: this.options, token: this.token });
    this.#session.addEventListener("closed", () => this.#capture?.close());
    this.#beganAt = performance.now();
    this.#dispatch("began");
    this.#session.connect();
    if (this.#capture) this.#listen(this.#capture, this.#session);
    else if (this.#file) this.#read(this.#file, this.#session);
  }

  /** Ends it: at once while the browser still asks or reads, else when the last words have come. */
  async stop() {
    this.#cancelled = true;
    await this.#capture?.close(); // first: its last frame belongs to what is sent
    await this.#session?.stop();
  }

  /**
   * @param {Capture} capture
   * @param {ScribewireSession} session
   */
  #listen(capture, session) {
    let deadFrames = 0;
    capture.addEventListener("frame", (event) => {
      const { samples, rms, peak } = /** @type {CustomEvent} */ (event).detail;
      if (session.state === "closed") return;
      session.sendAudio(samples);
      this.#dispatch("frame", { rms, peak });
      deadFrames = peak === 0 ? deadFrames + 1 : 0;
      if (deadFrames === DEAD_SILENCE_FRAMES) this.#dispatch("dead");
    });
    for (const type of ["interrupted", "resumed", "ended"]) {
      capture.addEventListener(type, () => this.#dispatch(type));
    }
  }

  /**
   * @param {AudioFile} file
   * @param {ScribewireSession} session
   */
  async #read(file, session) {
    for (const samples of file.frames()) {
      if (!(await session.whenRoom()) || this.#cancelled) return;
      session.sendAudio(samples);
    }
    await session.stop();
  }

  /**
   * @param {string} type
   * @param {unknown} [detail]
   */
  #dispatch(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

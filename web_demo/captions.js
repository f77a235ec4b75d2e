/** The transcript on the page. Recognised text enters as text nodes only. */

/** @typedef {import("./protocol.js").Partial} Partial */
/** @typedef {import("./protocol.js").Final} Final */
/** @typedef {import("./exports.js").Cue} Cue */

const AT_END_PX = 24;

export class Captions extends EventTarget {
  #scroller;
  #finals;
  #partial;
  #stable;
  #unstable;
  /** What has been said for good, on one time line over all recordings. @type {Cue[]} */
  #cues = [];
  /** Where this recording begins on that line. */
  #beginMs = 0;
  /** Whether the newest words are kept in view. The reader's scrolling decides. */
  #following = true;
  /** The segment that `#partial` shows; 0: none, or words of a lost connection. */
  #segment = 0;
  #revision = 0;
  /** Segments up to this one are settled: late partials of theirs are not shown. */
  #settled = 0;
  #language = "";
  /** Of the words in `#partial`. */
  #times = { start_ms: 0, end_ms: 0 };

  /** @param {HTMLElement} scroller holds `#finals` and `#partial` */
  constructor(scroller) {
    super();
    const find = (/** @type {string} */ selector) =>
      /** @type {HTMLElement} */ (scroller.querySelector(selector));
    this.#scroller = scroller;
    this.#finals = find("#finals");
    this.#partial = find("#partial");
    this.#stable = find("#partial .stable");
    this.#unstable = find("#partial .unstable");
    scroller.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    new ResizeObserver(() => this.#keepUp()).observe(scroller);
  }

  get empty() {
    return this.#finals.childElementCount === 0;
  }

  /** @returns {readonly Cue[]} */
  get cues() {
    return this.#cues;
  }

  /** Makes ready for a new recording, whose segments and times begin anew. */
  begin() {
    this.#settled = 0;
    this.#withdraw();
    this.#beginMs = this.#cues.at(-1)?.end_ms ?? 0;
    if (this.empty || this.#finals.lastElementChild?.matches(".pause")) return;
    const pause = element("p", "pause");
    pause.append(new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
    this.#finals.append(pause);
  }

  /** Says that speech is heard before there are words for it. */
  hearing() {
    this.#partial.hidden = false;
    this.#keepUp();
  }

  /** Speech ended; without words nothing stays on show. */
  silent() {
    if (this.#segment === 0 && this.#words === "") this.#withdraw();
  }

  /** @param {Partial} partial */
  showPartial({ segment, revision, stable, unstable, language, start_ms, end_ms }) {
    if (segment <= this.#settled) return;
    if (segment === this.#segment && revision <= this.#revision) return;
    this.#segment = segment;
    this.#revision = revision;
    this.#language = language ?? "";
    this.#times = { start_ms, end_ms };
    this.#partial.lang = this.#language;
    this.#partial.classList.remove("interrupted");
    this.#stable.textContent = stable.trimStart();
    this.#unstable.textContent = stable.trim() ? unstable : unstable.trimStart();
    this.#partial.hidden = false;
    this.#keepUp();
    this.#changed();
  }

  /** @param {Final} final */
  addFinal({ segment, text, start_ms, end_ms, language, reason }) {
    this.#settled = Math.max(this.#settled, segment);
    if (this.#segment <= segment) this.#withdraw();
    if (text.trim() === "") return;
    const line = this.#add(text, { start_ms, end_ms }, language ?? "", reason === "length");
    line.dataset.segment = String(segment);
    this.#keepUp();
    this.#changed();
  }

  /**
   * Takes the words of a segment away again, quietly.
   * @param {number} segment
   */
  suppress(segment) {
    if (segment === this.#segment || this.#segment === 0) this.#withdraw();
  }

  /** The connection was lost: the words without a final will come again, perhaps otherwise. */
  interrupt() {
    this.#segment = this.#revision = 0;
    this.#partial.classList.add("interrupted");
    if (this.#words === "") this.#withdraw();
  }

  /**
   * Nothing more will come for the audio before `ms`.
   * @param {number} ms
   */
  settle(ms) {
    if (this.#segment === 0 && this.#words !== "" && ms >= this.#times.end_ms) this.#withdraw();
  }

  /** The session ended early: words without a final are kept, and marked. */
  breakOff() {
    const words = this.#words;
    if (words.trim()) {
      const line = this.#add(words, this.#times, this.#language, false);
      line.classList.add("unfinished");
      line.title = "The connection ended before this was final.";
    }
    this.#withdraw();
  }

  /** @returns {() => void} puts back what was cleared */
  clear() {
    const lines = [...this.#finals.childNodes];
    const cues = this.#cues;
    this.#finals.replaceChildren();
    this.#cues = [];
    this.#changed();
    return () => {
      this.#finals.prepend(...lines);
      this.#cues.unshift(...cues);
      this.follow();
      this.#changed();
    };
  }

  /** Goes to the newest words and stays with them. */
  follow() {
    this.#setFollowing(true);
    this.#keepUp();
  }

  /** What `#partial` shows. */
  get #words() {
    return `${this.#stable.textContent}${this.#unstable.textContent}`;
  }

  #withdraw() {
    this.#segment = 0;
    this.#revision = 0;
    this.#stable.textContent = "";
    this.#unstable.textContent = "";
    this.#partial.classList.remove("interrupted");
    this.#partial.hidden = true;
    this.#changed();
  }

  /**
   * @param {string} text
   * @param {{ start_ms: number, end_ms: number }} times
   * @param {string} language
   * @param {boolean} cut
   */
  #add(text, { start_ms, end_ms }, language, cut) {
    const line = element("p", "line");
    const time = element("time", "time");
    const words = element("span", "text");
    line.dir = "auto";
    line.lang = language;
    time.append(formatClock(start_ms));
    time.setAttribute("datetime", `PT${(start_ms / 1000).toFixed(1)}S`);
    words.append(text.trim());
    line.append(time, " ", words);
    this.#finals.append(line);
    this.#cues.push({ text, start_ms: this.#beginMs + start_ms, end_ms: this.#beginMs + end_ms, cut });
    return line;
  }

  #onScroll() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    this.#setFollowing(scrollHeight - scrollTop - clientHeight < AT_END_PX);
  }

  /** Scrolls to the end, unless the reader is elsewhere or is selecting text. */
  #keepUp() {
    if (!this.#following || this.#isSelecting()) return;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #isSelecting() {
    const selection = getSelection();
    return selection !== null && !selection.isCollapsed && this.#scroller.contains(selection.anchorNode);
  }

  /** @param {boolean} following */
  #setFollowing(following) {
    if (following === this.#following) return;
    this.#following = following;
    this.dispatchEvent(new CustomEvent("following", { detail: following }));
  }

  #changed() {
    this.dispatchEvent(new Event("changed"));
  }
}

/**
 * @param {number} ms
 * @returns {string} `m:ss`, with hours when there are any
 */
export function formatClock(ms) {
  const seconds = Math.floor(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const tail = String(s).padStart(2, "0");
  return h > 0 ? `${h}:${String(m).padStart(2, "0")}:${tail}` : `${m}:${tail}`;
}

/**
 * @param {string} tag
 * @param {string} className
 */
function element(tag, className) {
  const made = document.createElement(tag);
  made.className = className;
  return made;
}

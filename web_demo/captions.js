/** The transcript on the page. Recognised text enters as text nodes only. */

/** @typedef {import("./scribewire.js").Partial} Partial */
/** @typedef {import("./scribewire.js").Final} Final */

const AT_END_PX = 24;

export class Captions extends EventTarget {
  #scroller;
  #finals;
  #partial;
  #stable;
  #unstable;
  /** Whether the newest words are kept in view. The reader's scrolling decides. */
  #following = true;
  /** The segment that `#partial` shows; 0: none. */
  #segment = 0;
  #revision = 0;
  /** Segments up to this one are settled: late partials of theirs are not shown. */
  #settled = 0;
  #language = "";

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

  /** The finals as plain text: a line per caption, one that was cut for its length joined again. */
  get text() {
    let text = "";
    for (const line of this.#finals.querySelectorAll(".line")) {
      text += line.querySelector(".text")?.textContent;
      if (!line.matches(".cut")) text = `${text.trim()}\n`;
    }
    return text.replace(/\n\s+/g, "\n").trim();
  }

  /** Makes ready for a new session, whose segments and times begin anew. */
  begin() {
    this.#segment = this.#revision = this.#settled = 0;
    this.#withdraw();
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
    if (this.#segment === 0) this.#withdraw();
  }

  /** @param {Partial} partial */
  showPartial({ segment, revision, stable, unstable, language }) {
    if (segment <= this.#settled) return;
    if (segment === this.#segment && revision <= this.#revision) return;
    this.#segment = segment;
    this.#revision = revision;
    this.#language = language ?? "";
    this.#partial.lang = this.#language;
    this.#stable.textContent = stable.trimStart();
    this.#unstable.textContent = stable.trim() ? unstable : unstable.trimStart();
    this.#partial.hidden = false;
    this.#keepUp();
    this.#changed();
  }

  /** @param {Final} final */
  addFinal({ segment, text, start_ms: startMs, language, reason }) {
    this.#settled = Math.max(this.#settled, segment);
    if (this.#segment <= segment) this.#withdraw();
    if (text.trim() === "") return;
    const line = this.#line(text, startMs, language ?? "");
    line.dataset.segment = String(segment);
    line.classList.toggle("cut", reason === "length");
    this.#finals.append(line);
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

  /** The session ended early: words without a final are kept, and marked. */
  breakOff() {
    const text = `${this.#stable.textContent}${this.#unstable.textContent}`;
    if (text.trim()) {
      const line = this.#line(text, null, this.#language);
      line.classList.add("unfinished");
      line.title = "The connection ended before this was final.";
      this.#finals.append(line);
    }
    this.#withdraw();
  }

  /** @returns {() => void} puts back what was cleared */
  clear() {
    const cleared = [...this.#finals.childNodes];
    this.#finals.replaceChildren();
    this.#changed();
    return () => {
      this.#finals.prepend(...cleared);
      this.follow();
      this.#changed();
    };
  }

  /** Goes to the newest words and stays with them. */
  follow() {
    this.#setFollowing(true);
    this.#keepUp();
  }

  #withdraw() {
    this.#segment = 0;
    this.#revision = 0;
    this.#stable.textContent = "";
    this.#unstable.textContent = "";
    this.#partial.hidden = true;
    this.#changed();
  }

  /**
   * @param {string} text
   * @param {number | null} startMs
   * @param {string} language
   */
  #line(text, startMs, language) {
    const line = element("p", "line");
    const time = element("time", "time");
    const words = element("span", "text");
    line.dir = "auto";
    line.lang = language;
    if (startMs !== null) {
      time.append(formatClock(startMs));
      time.setAttribute("datetime", `PT${(startMs / 1000).toFixed(1)}S`);
    }
    words.append(text.trimStart());
    line.append(time, words);
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

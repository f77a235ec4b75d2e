/** Finals corrected in place, in the page of who has an editor's token. */

/** @typedef {import("./room.js").Line} Line */
/** @typedef {import("./room.js").RoomFeed} RoomFeed */

const MAX_CHARS = 2000;
const NAME_CHARS = 40;
const NOT_CONNECTED = "There is no connection now. Save again when the page is live.";

/**
 * Whether a token is an editor's, as its payload says, which anybody may read.
 * @param {string | undefined} token
 */
export function isEditors(token) {
  try {
    const payload = (token ?? "").split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(payload)).w === "editor";
  } catch {
    return false;
  }
}

/** The lines that can be corrected, and those that are being. */
export class Corrections {
  #feed;
  #fill;
  #begun;
  /** @type {Map<string, Edit>} */
  #edits = new Map();

  /**
   * @param {RoomFeed} feed
   * @param {(element: HTMLElement, line: Line) => void} fill puts a line's words into its element
   * @param {() => void} begun called when a line begins to be edited
   */
  constructor(feed, fill, begun) {
    this.#feed = feed;
    this.#fill = fill;
    this.#begun = begun;
    feed.addEventListener("objection", (event) => {
      const error = /** @type {CustomEvent} */ (event).detail;
      this.#edits.get(error.id)?.object(error);
    });
    feed.addEventListener("state", (event) => {
      if (/** @type {CustomEvent} */ (event).detail !== "reconnecting") return;
      for (const edit of this.#edits.values()) edit.interrupt();
    });
  }

  /**
   * Shows a line that is new or was changed; in one that is being edited the words stay the editor's.
   * @param {HTMLElement} element
   * @param {Line} line
   */
  show(element, line) {
    const edit = this.#edits.get(line.key);
    if (edit) edit.take(line);
    else this.#rest(element, line);
  }

  /**
   * @param {HTMLElement} element
   * @param {Line} line
   */
  #rest(element, line) {
    this.#fill(element, line);
    if (!line.final) return;
    const name = line.stable.trim().slice(0, NAME_CHARS) || "what was taken away";
    const button = made("button", "correct", "Correct");
    button.setAttribute("aria-label", `Correct: ${name}`);
    button.addEventListener("click", () => this.#begin(element, line));
    element.append(" ", button);
  }

  /**
   * @param {HTMLElement} element
   * @param {Line} line
   */
  #begin(element, line) {
    const edit = new Edit(line, this.#feed, (newest) => {
      const focused = element.contains(document.activeElement);
      this.#edits.delete(line.key);
      element.removeAttribute("aria-live");
      this.#rest(element, newest);
      if (focused) /** @type {HTMLElement} */ (element.lastElementChild).focus();
    });
    this.#edits.set(line.key, edit);
    element.setAttribute("aria-live", "off");
    element.replaceChildren(edit.form);
    this.#begun();
    edit.field.focus();
  }
}

/** One line that is being edited. */
class Edit {
  form = made("form", "edit");
  field = /** @type {HTMLTextAreaElement} */ (made("textarea", "words-of-line"));
  #note = made("p", "note");
  #newest;
  #feed;
  #leave;

  /**
   * @param {Line} line
   * @param {RoomFeed} feed
   * @param {(newest: Line) => void} leave
   */
  constructor(line, feed, leave) {
    this.#newest = line;
    this.#feed = feed;
    this.#leave = leave;
    this.#note.setAttribute("role", "alert");
    ours(this.#note);
    this.field.value = line.stable.trim();
    this.field.maxLength = MAX_CHARS;
    this.field.rows = 2;
    this.field.dir = "auto";
    this.field.setAttribute("aria-label", "Corrected text");
    this.field.addEventListener("keydown", (event) => this.#onKey(event));
    const save = made("button", "correct", "Save");
    const leaving = made("button", "correct", "Cancel");
    save.addEventListener("click", () => this.#save());
    leaving.addEventListener("click", () => leave(this.#newest));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.append(this.field, this.#note, save, " ", leaving);
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.isComposing) return; // Enter ends an input method's word
    if (event.key === "Escape") this.#leave(this.#newest);
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    this.#save();
  }

  #save() {
    const { session, segment, revision, key } = this.#newest;
    if (this.field.readOnly) return;
    if (this.#agrees()) return this.#leave(this.#newest);
    const text = this.field.value.trim();
    const sent = this.#feed.send({ type: "correct", session, segment, text, revision, id: key });
    this.#await(sent, sent ? "" : NOT_CONNECTED);
  }

  /** Whether what is there now is what the editor wants. */
  #agrees() {
    return this.#newest.stable.trim() === this.field.value.trim();
  }

  /**
   * @param {boolean} waiting for the server
   * @param {string} [note]
   */
  #await(waiting, note = "") {
    this.field.readOnly = waiting;
    this.field.setAttribute("aria-busy", String(waiting));
    this.#note.textContent = note;
  }

  /**
   * Takes the line's newest text: one's own, or somebody else's.
   * @param {Line} newest
   * @param {boolean} [refused] whether this answers a correction, with what is there instead
   */
  take(newest, refused = false) {
    const untouched = this.#agrees();
    if (newest.revision <= this.#newest.revision && !refused) return;
    this.#newest = newest;
    if (untouched && !this.field.readOnly) this.field.value = newest.stable.trim();
    else if (this.#agrees()) this.#leave(newest);
    else this.#await(false, theirs(newest.stable));
  }

  /** @param {any} error that answers the correction */
  object({ code, message, text, revision }) {
    if (code === "conflict") this.take({ ...this.#newest, stable: text, revision }, true);
    else this.#await(false, message);
  }

  /** The connection is lost; what was on its way may be too. */
  interrupt() {
    if (this.field.readOnly) this.#await(false, NOT_CONNECTED);
  }
}

/** @param {string} text */
function theirs(text) {
  const done = text.trim() ? `changed this to “${text.trim()}”` : "took this away";
  return `Somebody else ${done}. Save to put yours in its place, or cancel to leave theirs.`;
}

/** @param {string} tag @param {string} className @param {string} [label] of a button */
function made(tag, className, label) {
  const element = document.createElement(tag);
  element.className = className;
  if (label === undefined) return element;
  /** @type {HTMLButtonElement} */ (element).type = "button";
  element.textContent = label;
  ours(element);
  return element;
}

/**
 * What the page says itself is in the page's language, whatever the line's is.
 * @param {HTMLElement} element
 */
function ours(element) {
  element.lang = document.documentElement.lang;
  element.dir = "ltr";
}

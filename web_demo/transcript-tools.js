/** Copy, save and clear: what can be done with the captions. */

import { toSrt, toText, toVtt } from "./exports.js";
import { byId, flash, say } from "./view.js";

/** @typedef {import("./captions.js").Captions} Captions */

const UNDO_MS = 10_000;
const FORMATS = {
  txt: { type: "text/plain", write: toText },
  srt: { type: "application/x-subrip", write: toSrt },
  vtt: { type: "text/vtt", write: toVtt },
};

export class TranscriptTools {
  #captions;
  #copy = /** @type {HTMLButtonElement} */ (byId("copy"));
  #save = /** @type {HTMLButtonElement} */ (byId("save"));
  #clear = /** @type {HTMLButtonElement} */ (byId("clear"));
  /** @type {(() => void) | null} */
  #undo = null;

  /** @param {Captions} captions */
  constructor(captions) {
    this.#captions = captions;
    captions.addEventListener("changed", () => this.#refresh());
    this.#copy.addEventListener("click", () => this.#onCopy());
    this.#clear.addEventListener("click", () => this.#onClear());
    byId("save-menu").addEventListener("click", ({ target }) => {
      const button = /** @type {HTMLElement} */ (target).closest("button");
      if (button !== null) this.#onSave(/** @type {keyof typeof FORMATS} */ (button.value));
    });
  }

  #refresh() {
    this.#copy.disabled = this.#save.disabled = this.#captions.empty;
    this.#clear.disabled = this.#captions.empty && this.#undo === null;
  }

  async #onCopy() {
    try {
      await navigator.clipboard.writeText(toText(this.#captions.cues));
      flash(this.#copy, "Copied");
    } catch {
      say("The browser did not allow copying. Select the text and copy it by hand.", "warning");
    }
  }

  /** @param {keyof typeof FORMATS} format */
  #onSave(format) {
    byId("save-menu").hidePopover();
    const { type, write } = FORMATS[format];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${write(this.#captions.cues).trimEnd()}\n`], { type }));
    const now = new Date();
    const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString();
    link.download = `captions-${local.slice(0, 16).replace("T", "-").replace(":", "")}.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  #onClear() {
    if (this.#undo !== null) return this.#undo();
    const putBack = this.#captions.clear();
    const label = /** @type {HTMLElement} */ (this.#clear.querySelector(".label"));
    const end = () => {
      clearTimeout(timer);
      this.#undo = null;
      label.textContent = "Clear";
      this.#clear.classList.remove("flashed");
      this.#refresh();
    };
    const timer = setTimeout(end, UNDO_MS);
    this.#undo = () => {
      putBack();
      end();
    };
    label.textContent = "Undo";
    this.#clear.classList.add("flashed");
    this.#refresh();
  }
}

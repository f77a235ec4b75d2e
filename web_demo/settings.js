/** The settings popover: kept in this browser, overruled by the page's own address. */

import { hasOpus } from "./opus.js";

const KEY = "scribewire.settings";
/** @type {Record<string, string>} */
const DEFAULTS = { chunk_ms: "auto", language: "", endpoint_ms: "600", context: "", encoding: "pcm_s16le" };
/** Session options that only the address may carry, e.g. `/?vad_threshold=0.3`. */
const ADDRESS_ONLY = ["max_segment_ms", "vad_threshold", "vad_padding_ms", "rollback_tokens", "cold_chunks", "publish"];
/** What takes effect in a running session; the rest from the next one on. */
const AT_ONCE = ["language", "endpoint_ms", "context"];

/** Dispatches `changed` with the options that a running session can take at once. */
export class Settings extends EventTarget {
  #form;
  #address = Object.fromEntries(new URLSearchParams(location.search));

  /** @param {HTMLFormElement} form with a control for each of `DEFAULTS` */
  constructor(form) {
    super();
    this.#form = form;
    const values = { ...DEFAULTS, ...this.#stored(), ...this.#address };
    for (const name of Object.keys(DEFAULTS)) this.#control(name).value = String(values[name]);
    /** @type {HTMLInputElement} */ (form.querySelector('[value="opus"]')).disabled = !hasOpus();
    this.#showPause();
    form.addEventListener("input", () => this.#showPause());
    form.addEventListener("change", ({ target }) => this.#onChange(/** @type {HTMLInputElement} */ (target).name));
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  /** @returns {Record<string, any>} session options */
  get options() {
    const fromAddress = Object.entries(this.#address).filter(([name]) => ADDRESS_ONLY.includes(name));
    const { language, context, chunk_ms, endpoint_ms, encoding } = this.#values();
    return {
      ...Object.fromEntries(fromAddress),
      // What the form has no choice for may stand in the address.
      chunk_ms: chunk_ms || this.#address.chunk_ms || DEFAULTS.chunk_ms,
      encoding: encoding || DEFAULTS.encoding,
      endpoint_ms: Number(endpoint_ms),
      ...(language && { language }),
      ...(context && { context }),
    };
  }

  /** @param {string} name */
  #onChange(name) {
    const values = this.#values();
    try {
      localStorage.setItem(KEY, JSON.stringify(values));
    } catch {
      // Storage is switched off: the settings hold until the page is closed.
    }
    if (!AT_ONCE.includes(name)) return;
    const value = name === "endpoint_ms" ? Number(values[name]) : values[name];
    const change = { [name]: name === "language" && value === "" ? "auto" : value };
    this.dispatchEvent(new CustomEvent("changed", { detail: change }));
  }

  #values() {
    return Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, this.#control(name).value.trim()]));
  }

  /** @returns {Record<string, string>} */
  #stored() {
    try {
      return JSON.parse(localStorage.getItem(KEY) ?? "{}");
    } catch {
      return {};
    }
  }

  #showPause() {
    const seconds = Number(this.#control("endpoint_ms").value) / 1000;
    const shown = /** @type {HTMLElement} */ (this.#form.querySelector("#pause"));
    shown.textContent = `${seconds.toFixed(1)} s`;
  }

  /**
   * @param {string} name
   * @returns {{ value: string }} an input, or a group of radio buttons
   */
  #control(name) {
    return /** @type {any} */ (this.#form.elements.namedItem(name));
  }
}

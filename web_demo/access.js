/**
 * The page's permission, where a server asks for a key: the key is exchanged for a token that holds
 * for two hours. The token stays in this tab; the key is kept nowhere, and neither is ever in an address.
 */

import { refusalIn } from "./protocol.js";
import { byId } from "./view.js";

/** @typedef {import("./protocol.js").Notice} Notice */

const STORED = "scribewire.token";
const LIFETIME_S = 7200;
const TIMEOUT_MS = 10_000;

export class Access {
  #panel = byId("key-panel");
  #input = /** @type {HTMLInputElement} */ (byId("key"));
  #message = byId("key-message");

  /** The answer of `POST /v1/tokens`. @type {{ token?: string, expires_at?: number }} */
  #granted = stored();
  /** What was to be done when there was no key. */
  #goOn = () => {};

  constructor() {
    this.#panel.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#exchange(this.#input.value.trim());
    });
    this.#panel.addEventListener("toggle", (event) => {
      if (/** @type {ToggleEvent} */ (event).newState === "closed") this.#input.value = "";
    });
  }

  /** What sessions are opened with; undefined: nothing, which is enough for servers without keys. */
  get token() {
    const { token, expires_at: until = 0 } = this.#granted;
    return Date.now() < until * 1000 ? token : undefined;
  }

  /**
   * Shows the field for the key.
   * @param {() => void} goOn called once there is a token
   */
  ask(goOn) {
    this.#goOn = goOn;
    this.#keep({});
    this.#message.textContent = "";
    this.#panel.showPopover();
    this.#input.focus();
  }

  /** @param {string} key */
  async #exchange(key) {
    if (key === "") return;
    const reply = await this.#request(key);
    if (reply?.ok) {
      this.#keep(await reply.json());
      this.#panel.hidePopover();
      this.#goOn();
      return;
    }
    const { code, message } = (reply && (await refusalIn(reply))) ?? { code: "", message: "" };
    this.#message.textContent =
      code === "unauthorized" ? "This key is not valid." : message || "The server cannot be reached. Try again.";
  }

  /** @param {{ token?: string, expires_at?: number }} granted */
  #keep(granted) {
    this.#granted = granted;
    try {
      sessionStorage.setItem(STORED, JSON.stringify(granted));
    } catch {
      // Storage is switched off: the token holds until the page is closed.
    }
  }

  /** @param {string} key */
  async #request(key) {
    try {
      return await fetch("/v1/tokens", {
        method: "POST",
        headers: { Authorization: `Bearer ${key}` },
        body: JSON.stringify({ expires_in_s: LIFETIME_S, single_use: false }),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch {
      return null; // no network, or characters that no header can have
    }
  }
}

function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(STORED) ?? "{}");
  } catch {
    return {};
  }
}

/** What the page shows around the captions: state, status line, facts, level, progress. */

/** @typedef {"idle" | "asking" | "connecting" | "listening" | "reconnecting" | "stopping" | "done" | "failed"} PageState */
/** @typedef {"microphone" | "tab" | "file"} Kind */

/** @type {Record<PageState, string>} */
const STATES = {
  idle: "Ready",
  asking: "Waiting for permission",
  connecting: "Connecting",
  listening: "Listening",
  reconnecting: "Reconnecting",
  stopping: "Finishing",
  done: "Done",
  failed: "Stopped",
};
/** Where another word says it better. @type {Record<string, string>} */
const STATES_OF_KIND = { "asking file": "Opening the file", "listening file": "Transcribing" };
const QUIETEST_DB = -60;

/** @param {string} id */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * @param {PageState} state
 * @param {Kind} kind of what is transcribed
 */
export function showState(state, kind) {
  const running = !["idle", "done", "failed"].includes(state);
  byId("state").textContent = STATES_OF_KIND[`${state} ${kind}`] ?? STATES[state];
  byId("state").dataset.state = state;
  document.body.classList.toggle("running", running);
  document.body.dataset.kind = kind;
  const start = byId("start");
  start.setAttribute("aria-pressed", String(running));
  start.setAttribute("aria-disabled", String(state === "stopping"));
  start.title = running ? "Stop" : "Start";
  for (const id of ["open-file", "open-tab"]) /** @type {HTMLButtonElement} */ (byId(id)).disabled = running;
  byId("progress").hidden = !(running && kind === "file");
  byId("meter").hidden = !byId("progress").hidden;
}

/**
 * The status line.
 * @param {string} text
 * @param {"info" | "warning" | "error"} [kind]
 */
export function say(text, kind = "info") {
  byId("status").textContent = text;
  byId("status").dataset.kind = kind;
}

/** Whether the status line tells of something that went wrong. */
export function tellsTrouble() {
  return byId("status").textContent !== "" && byId("status").dataset.kind === "error";
}

/** @param {Record<string, string>} facts text by id */
export function showFacts(facts) {
  for (const [id, text] of Object.entries(facts)) byId(id).textContent = text;
}

/**
 * @param {number} rms
 * @param {number} peak
 */
export function showLevel(rms, peak) {
  const share = (/** @type {number} */ amplitude) => {
    const db = 20 * Math.log10(Math.max(amplitude, 1e-6));
    return Math.min(1, Math.max(0, 1 - db / QUIETEST_DB));
  };
  byId("level").style.transform = `scaleX(${share(rms).toFixed(3)})`;
  byId("peak").style.left = `${(share(peak) * 100).toFixed(1)}%`;
  byId("peak").classList.toggle("hot", peak > 0.98);
  byId("halo").style.transform = `scale(${(1 + 0.7 * share(rms)).toFixed(3)})`;
  byId("meter").setAttribute("aria-valuenow", (share(rms) * 100).toFixed(0));
}

/** @param {number} share of the file that is transcribed, 0 … 1 */
export function showProgress(share) {
  /** @type {HTMLProgressElement} */ (byId("progress")).value = share;
}

/**
 * Says for a moment on a button that it worked.
 * @param {HTMLElement} button with a `.label`
 * @param {string} text
 */
export function flash(button, text) {
  const label = /** @type {HTMLElement} */ (button.querySelector(".label"));
  const usual = (button.dataset.usual ??= label.textContent ?? "");
  label.textContent = text;
  button.classList.add("flashed");
  setTimeout(() => {
    label.textContent = usual;
    button.classList.remove("flashed");
  }, 1500);
}

/** @param {string | null | undefined} language a code, a name, or nothing yet */
export function languageName(language) {
  if (!language || language === "auto") return "Automatic";
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(language) ?? language;
  } catch {
    return language; // not a code: a name already
  }
}

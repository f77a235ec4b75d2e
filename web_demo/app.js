/** The page: one button, the microphone behind it, captions above it. */

import { adviseClose, adviseError, adviseMicrophone, adviseUnreachable, adviseWarning } from "/static/advice.js";
import { Captions, formatClock } from "/static/captions.js";
import { Microphone } from "/static/microphone.js";
import { ScribewireSession } from "/static/scribewire.js";

/** @typedef {import("./scribewire.js").Closed} Closed */
/** @typedef {import("./scribewire.js").Done} Done */
/** @typedef {"idle" | "microphone" | "connecting" | "listening" | "stopping" | "done" | "failed"} PageState */

/** @type {Record<PageState, string>} */
const STATES = {
  idle: "Ready",
  microphone: "Asking for the microphone",
  connecting: "Connecting",
  listening: "Listening",
  stopping: "Finishing",
  done: "Done",
  failed: "Stopped",
};
/** Session options that the page's own address may carry, e.g. `/?language=de`. */
const ADDRESS_OPTIONS = ["language", "context", "chunk_ms", "endpoint_ms", "max_segment_ms", "vad_threshold"];
const DEAD_SILENCE_FRAMES = 40; // about 4 s of digital zeros: a muted or wrong input
const QUIETEST_DB = -60;
const UNDO_MS = 10_000;

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const startButton = byId("start");
const copyButton = /** @type {HTMLButtonElement} */ (byId("copy"));
const clearButton = /** @type {HTMLButtonElement} */ (byId("clear"));
const captions = new Captions(byId("transcript"));

/** @type {PageState} */
let pageState = "idle";
/**
 * One press of start until its end; null between.
 * @type {{ microphone?: Microphone, session?: ScribewireSession, cancelled: boolean } | null}
 */
let run = null;
/** @type {WakeLockSentinel | null} */
let wakeLock = null;
/** @type {(() => void) | null} */
let undoClear = null;

startButton.addEventListener("click", () => (run === null ? start() : stop()));
copyButton.addEventListener("click", copy);
clearButton.addEventListener("click", clear);
byId("follow").addEventListener("click", () => captions.follow());
captions.addEventListener("following", (event) => {
  byId("follow").hidden = /** @type {CustomEvent<boolean>} */ (event).detail;
});
captions.addEventListener("changed", showWhatIsThere);
// The system takes the wake lock away whenever the page is hidden.
document.addEventListener("visibilitychange", () => {
  if (run !== null && document.visibilityState === "visible") keepScreenOn();
});

async function start() {
  const mine = (run = { cancelled: false });
  enter("microphone");
  say("");
  showFacts({ language: "–", model: "–", lag: "–", elapsed: "–" });
  let microphone;
  try {
    microphone = await Microphone.open();
  } catch (error) {
    if (!mine.cancelled) fail(adviseMicrophone(error));
    return;
  }
  if (mine.cancelled) return microphone.close();

  const session = new ScribewireSession({ sampleRate: microphone.sampleRate, options: addressOptions() });
  Object.assign(mine, { microphone, session });
  captions.begin();
  captions.follow();
  listenTo(session);
  listenToMicrophone(microphone, session);
  enter("connecting");
  session.connect();
  keepScreenOn();
}

async function stop() {
  if (run === null || pageState === "stopping") return;
  const { microphone, session } = run;
  if (microphone === undefined || session === undefined) {
    run.cancelled = true; // still waiting for the browser's question about the microphone
    run = null;
    enter("idle");
    return;
  }
  enter("stopping");
  await microphone.close(); // first: its last frame belongs to what is sent
  showLevel(0, 0);
  await session.stop();
}

/** @param {ScribewireSession} session */
function listenTo(session) {
  /** @type {Record<string, (message: any) => void>} */
  const on = {
    ready: ({ model, language }) => {
      document.body.classList.remove("fresh");
      showFacts({ model, language: languageName(language) });
      if (pageState === "connecting") enter("listening");
    },
    speech_started: () => captions.hearing(),
    speech_ended: () => captions.silent(),
    partial: (partial) => {
      captions.showPartial(partial);
      showFacts({ lag: `${(partial.lag_ms / 1000).toFixed(1)} s` });
      if (partial.language) showFacts({ language: languageName(partial.language) });
    },
    suppressed: ({ segment }) => captions.suppress(segment),
    final: (final) => captions.addFinal(final),
    warning: (warning) => say(adviseWarning(warning), "warning"),
    error: (error) => say(adviseError(error), "error"),
    closed: (closed) => onClosed(closed),
  };
  for (const [type, handle] of Object.entries(on)) {
    session.addEventListener(type, (event) => handle(/** @type {CustomEvent} */ (event).detail));
  }
}

/**
 * @param {Microphone} microphone
 * @param {ScribewireSession} session
 */
function listenToMicrophone(microphone, session) {
  let heardSamples = 0;
  let deadFrames = 0;
  let interrupted = false;
  microphone.addEventListener("frame", (event) => {
    const { samples, rms, peak } = /** @type {CustomEvent} */ (event).detail;
    if (session.state === "closed") return;
    session.sendAudio(samples);
    heardSamples += samples.length;
    showLevel(rms, peak);
    showFacts({ elapsed: formatClock((heardSamples * 1000) / microphone.sampleRate) });
    deadFrames = peak === 0 ? deadFrames + 1 : 0;
    if (deadFrames === DEAD_SILENCE_FRAMES) {
      say("The microphone gives no sound at all. Is it muted, or is another one meant?", "warning");
    }
  });
  microphone.addEventListener("interrupted", () => {
    interrupted = true;
    say("The microphone is paused by the system, perhaps by a call or a mute key.", "warning");
  });
  microphone.addEventListener("resumed", () => {
    if (interrupted) say("");
    interrupted = false;
  });
  microphone.addEventListener("ended", () => {
    stop();
    say("The microphone was disconnected. Connect it again, then press the button.", "error");
  });
}

/** @param {Closed} closed */
async function onClosed({ code, opened, done, error }) {
  const microphone = run?.microphone;
  run = null;
  captions.breakOff();
  microphone?.close();
  showLevel(0, 0);
  wakeLock?.release();
  wakeLock = null;
  if (done !== null) {
    enter("done");
    if (byId("status").dataset.kind !== "error") say(summary(done), "info");
  } else if (error !== null) {
    fail(adviseError(error));
  } else if (opened) {
    fail(adviseClose(code));
  } else {
    fail("The server cannot be reached.");
    const advice = await adviseUnreachable();
    if (run === null) say(advice, "error");
  }
}

/** @param {Done} done */
function summary({ duration_ms: durationMs, segments }) {
  const captionsMade = `${segments} ${segments === 1 ? "caption" : "captions"}`;
  return `Finished: ${formatClock(durationMs)} of audio, ${captionsMade}.`;
}

/** @param {string} advice */
function fail(advice) {
  run = null;
  enter("failed");
  say(advice, "error");
}

/** @param {PageState} state */
function enter(state) {
  pageState = state;
  const running = state !== "idle" && state !== "done" && state !== "failed";
  byId("state").textContent = STATES[state];
  byId("state").dataset.state = state;
  document.body.classList.toggle("running", running);
  startButton.setAttribute("aria-pressed", String(running));
  startButton.setAttribute("aria-disabled", String(state === "stopping"));
  startButton.title = running ? "Stop" : "Start";
  showWhatIsThere();
}

/**
 * The status line.
 * @param {string} text
 * @param {"info" | "warning" | "error"} [kind]
 */
function say(text, kind = "info") {
  byId("status").textContent = text;
  byId("status").dataset.kind = kind;
}

/** @param {Record<string, string>} facts text by id */
function showFacts(facts) {
  for (const [id, text] of Object.entries(facts)) byId(id).textContent = text;
}

/**
 * @param {number} rms
 * @param {number} peak
 */
function showLevel(rms, peak) {
  const share = (/** @type {number} */ amplitude) => {
    const db = 20 * Math.log10(Math.max(amplitude, 1e-6));
    return Math.min(1, Math.max(0, 1 - db / QUIETEST_DB));
  };
  byId("level").style.transform = `scaleX(${share(rms).toFixed(3)})`;
  byId("peak").style.left = `${(share(peak) * 100).toFixed(1)}%`;
  byId("peak").classList.toggle("hot", peak > 0.98);
  byId("halo").style.transform = `scale(${(1 + 0.7 * share(rms)).toFixed(3)})`;
}

function showWhatIsThere() {
  byId("welcome").hidden = !captions.empty || !byId("partial").hidden || run !== null;
  copyButton.disabled = captions.empty;
  clearButton.disabled = captions.empty && undoClear === null;
}

async function copy() {
  try {
    await navigator.clipboard.writeText(captions.text);
    flash(copyButton, "Copied");
  } catch {
    say("The browser did not allow copying. Select the text and copy it by hand.", "warning");
  }
}

function clear() {
  if (undoClear !== null) return undoClear();
  const putBack = captions.clear();
  const end = () => {
    clearTimeout(timer);
    undoClear = null;
    clearButton.textContent = "Clear";
    showWhatIsThere();
  };
  const timer = setTimeout(end, UNDO_MS);
  undoClear = () => {
    putBack();
    end();
  };
  clearButton.textContent = "Undo";
  showWhatIsThere();
}

/**
 * @param {HTMLElement} button
 * @param {string} text
 */
function flash(button, text) {
  const usual = (button.dataset.usual ??= button.textContent ?? "");
  button.textContent = text;
  setTimeout(() => (button.textContent = usual), 1500);
}

/** @param {string | null | undefined} language a code, a name, or nothing yet */
function languageName(language) {
  if (!language || language === "auto") return "Automatic";
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(language) ?? language;
  } catch {
    return language; // not a code: a name already
  }
}

function addressOptions() {
  const given = new URLSearchParams(location.search);
  return Object.fromEntries([...given].filter(([name]) => ADDRESS_OPTIONS.includes(name)));
}

async function keepScreenOn() {
  try {
    wakeLock = (await navigator.wakeLock?.request("screen")) ?? null;
  } catch {
    wakeLock = null; // battery saver: captions go on, the screen may dim
  }
}

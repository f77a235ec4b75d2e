/** The page: a microphone, a tab or a file, and captions above. */

import { Access } from "./access.js";
import {
  adviseClose, adviseDisconnected, adviseError, adviseSource, adviseUnreachable, adviseWarning,
} from "./advice.js";
import { Captions, formatClock } from "./captions.js";
import { Capture } from "./capture.js";
import { Recording } from "./recording.js";
import { Settings } from "./settings.js";
import { TranscriptTools } from "./transcript-tools.js";
import { byId, languageName, say, showFacts, showLevel, showProgress, showState, tellsTrouble } from "./view.js";

/** @typedef {import("./protocol.js").Closed} Closed */
/** @typedef {import("./protocol.js").Done} Done */
/** @typedef {import("./view.js").Kind} Kind */
/** @typedef {import("./view.js").PageState} PageState */

const BEHIND_MS = 5_000; // unsent audio of which the page tells

const captions = new Captions(byId("transcript"));
const settings = new Settings(/** @type {HTMLFormElement} */ (byId("settings-form")));
const access = new Access();
const filePicker = /** @type {HTMLInputElement} */ (byId("file-picker"));
new TranscriptTools(captions);

/** @type {PageState} */
let pageState = "idle";
/** @type {Recording | null} */
let recording = null;
/** @type {WakeLockSentinel | null} */
let wakeLock = null;

byId("start").addEventListener("click", () => (recording === null ? start("microphone") : stop()));
byId("open-tab").addEventListener("click", () => start("tab"));
byId("open-tab").hidden = !Capture.hasTabs;
byId("open-file").addEventListener("click", () => filePicker.click());
filePicker.addEventListener("change", () => {
  const [file] = filePicker.files ?? [];
  filePicker.value = ""; // so that the same file may be chosen again
  if (file) start("file", file);
});
byId("follow").addEventListener("click", () => captions.follow());
captions.addEventListener("following", (event) => {
  byId("follow").hidden = /** @type {CustomEvent<boolean>} */ (event).detail;
});
captions.addEventListener("changed", showWelcome);
settings.addEventListener("changed", (event) => {
  recording?.session?.configure(/** @type {CustomEvent} */ (event).detail);
});
// The system takes the wake lock away whenever the page is hidden.
document.addEventListener("visibilitychange", () => {
  if (recording !== null && document.visibilityState === "visible") keepScreenOn();
});
acceptDrops();

/**
 * @param {Kind} kind
 * @param {File} [file]
 */
function start(kind, file) {
  if (recording !== null) {
    say("Stop what is running first, then open the file again.", "warning");
    return;
  }
  const mine = (recording = new Recording(kind, settings.options, () => access.token, file));
  say(file ? file.name : "");
  showFacts({ language: "–", model: "–", lag: "–", elapsed: "–", "lag-label": file ? "Speed" : "Delay" });
  showProgress(0);
  mine.addEventListener("began", () => {
    captions.begin();
    captions.follow();
    listenToServer(mine);
    enter("connecting");
    keepScreenOn();
  });
  mine.addEventListener("failed", (event) => {
    fail(adviseSource(kind, /** @type {CustomEvent} */ (event).detail));
  });
  listenToSource(mine);
  enter("asking");
  mine.start();
}

function stop() {
  if (recording === null || pageState === "stopping") return;
  const { session } = recording;
  recording.stop();
  if (session === null) {
    recording = null;
    say("");
    enter("idle");
  } else if (pageState === "reconnecting" && session.state === "stopping") {
    session.close(); // pressed again: the connection is not waited for any more
  } else {
    showLevel(0, 0);
    if (pageState !== "reconnecting") enter("stopping");
    else say("Waiting for the connection, to send the rest. Press again to end without it.", "warning");
  }
}

/** @param {Recording} mine with a session */
function listenToServer(mine) {
  const session = /** @type {NonNullable<Recording["session"]>} */ (mine.session);
  const goOn = () => enter(session.state === "stopping" ? "stopping" : "listening");
  /** @type {Record<string, (message: any) => void>} */
  const on = {
    ready: ({ model, options }) => {
      document.body.classList.remove("fresh");
      showFacts({ model, language: languageName(options.language) });
      if (pageState === "connecting") goOn();
    },
    speech_started: () => captions.hearing(),
    speech_ended: () => captions.silent(),
    partial: (partial) => {
      captions.showPartial(partial);
      if (mine.kind !== "file") showFacts({ lag: seconds(session.audioMs - partial.end_ms) });
      if (partial.language) showFacts({ language: languageName(partial.language) });
    },
    suppressed: ({ segment }) => captions.suppress(segment),
    final: (final) => captions.addFinal(final),
    confirmed: () => {
      captions.settle(session.confirmedMs);
      if (mine.kind !== "file") return;
      showProgress(mine.progress);
      showFacts({ lag: `${mine.speed.toFixed(1)} ×`, elapsed: formatClock(session.confirmedMs) });
    },
    disconnected: (disconnected) => {
      captions.interrupt();
      enter("reconnecting");
      say(adviseDisconnected(disconnected, mine.kind, session.state === "stopping"), "warning");
    },
    reconnected: () => {
      say("Connected again. Nothing was lost.");
      goOn();
    },
    warning: (warning) => say(adviseWarning(warning), "warning"),
    error: (error) => say(adviseError(error), "error"),
    closed: (closed) => onClosed(closed, mine),
  };
  for (const [type, handle] of Object.entries(on)) {
    session.addEventListener(type, (event) => handle(/** @type {CustomEvent} */ (event).detail));
  }
}

/** @param {Recording} mine */
function listenToSource(mine) {
  let interrupted = false;
  let behind = false;
  let catchingUp = true; // what was kept while there was no connection
  mine.addEventListener("frame", (event) => {
    const { rms, peak } = /** @type {CustomEvent} */ (event).detail;
    const session = /** @type {NonNullable<Recording["session"]>} */ (mine.session);
    showLevel(rms, peak);
    showFacts({ elapsed: formatClock(session.audioMs) });
    if (!session.connected || session.unsentMs < BEHIND_MS / 5) catchingUp = !session.connected;
    if (catchingUp) return;
    if (session.unsentMs > BEHIND_MS) {
      behind = true;
      showFacts({ lag: seconds(session.unsentMs) });
      say(`The network is slow: captions come ${Math.round(session.unsentMs / 1000)} s late for now.`, "warning");
    } else if (behind && session.unsentMs < BEHIND_MS / 5) {
      behind = false;
      say("");
    }
  });
  mine.addEventListener("dead", () => {
    const what = mine.kind === "tab" ? "The tab plays" : "The microphone gives";
    say(`${what} no sound at all. Is it muted, or is another one meant?`, "warning");
  });
  mine.addEventListener("interrupted", () => {
    interrupted = true;
    say("The audio is paused by the system, perhaps by a call or a mute key.", "warning");
  });
  mine.addEventListener("resumed", () => {
    if (interrupted) say("");
    interrupted = false;
  });
  mine.addEventListener("ended", () => {
    stop();
    if (mine.kind === "tab") say("The tab is not shared any more.");
    else say("The microphone was disconnected. Connect it again, then press the button.", "error");
  });
}

/**
 * @param {Closed} closed
 * @param {Recording} mine
 */
async function onClosed({ code, opened, done, error }, mine) {
  recording = null;
  captions.breakOff();
  showLevel(0, 0);
  wakeLock?.release();
  wakeLock = null;
  if (done !== null) {
    enter("done");
    if (!tellsTrouble()) say(summary(done));
  } else if (error !== null) {
    fail(adviseError(error));
    if (error.code === "unauthorized") askForKey(mine);
  } else if (opened) {
    fail(adviseClose(code));
  } else {
    fail("The server cannot be reached.");
    const advice = await adviseUnreachable();
    if (recording === null) say(advice, "error");
  }
}

/** @param {Recording} mine what goes on once there is a key */
function askForKey({ kind, file }) {
  access.ask(() => start(kind, file));
}

/** @param {Done} done */
function summary({ duration_ms: durationMs, segments }) {
  const captionsMade = `${segments} ${segments === 1 ? "caption" : "captions"}`;
  return `Finished: ${formatClock(durationMs)} of audio, ${captionsMade}.`;
}

/** @param {string} advice */
function fail(advice) {
  recording = null;
  enter("failed");
  say(advice, "error");
}

/** @param {PageState} state */
function enter(state) {
  pageState = state;
  showState(state, recording?.kind ?? "microphone");
  showWelcome();
}

function showWelcome() {
  byId("welcome").hidden = !captions.empty || !byId("partial").hidden || recording !== null;
}

/** Files may be dropped anywhere on the page. */
function acceptDrops() {
  let depth = 0; // enter and leave come for each element on the way
  const isFile = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") ?? false;
  const show = (/** @type {boolean} */ shown) => document.body.classList.toggle("dropping", shown);
  addEventListener("dragenter", (event) => {
    if (isFile(event)) show((depth += 1) > 0);
  });
  addEventListener("dragleave", (event) => {
    if (isFile(event)) show((depth = Math.max(0, depth - 1)) > 0);
  });
  addEventListener("dragover", (event) => {
    if (isFile(event)) event.preventDefault(); // else the browser would open it
  });
  addEventListener("drop", (event) => {
    if (!isFile(event)) return;
    event.preventDefault();
    show((depth = 0) > 0);
    const [file] = event.dataTransfer?.files ?? [];
    if (file) start("file", file);
  });
}

async function keepScreenOn() {
  try {
    wakeLock = (await navigator.wakeLock?.request("screen")) ?? null;
  } catch {
    wakeLock = null; // battery saver: captions go on, the screen may dim
  }
}

/** @param {number} ms */
function seconds(ms) {
  return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
}

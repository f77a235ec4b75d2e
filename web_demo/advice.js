/** What went wrong, in plain words that say what to do. */

/** @typedef {import("./protocol.js").Notice} Notice */
/** @typedef {import("./protocol.js").Disconnected} Disconnected */
/** @typedef {import("./view.js").Kind} Kind */

const UNREACHABLE =
  "The server cannot be reached. Check that it is running and that the network is there, then try again.";

/** @type {Record<string, string>} */
const ERRORS = {
  unauthorized: "This server asks for a key. Enter it above; whoever runs the server has one for you.",
  forbidden_origin: "The server does not accept this page's address. Open the page at the server's own address.",
  quota_exceeded: "The transcription time allowed here is used up. Ask whoever runs the server.",
  too_many_sessions: "The server is busy: every place is taken. Try again {when}.",
  overloaded: "The server is busy. Try again {when}.",
  audio_backlog: "More audio arrived than the server could take in. Press the button to go on.",
  idle_timeout: "The server heard nothing for a long time and closed the session. Press the button to go on.",
  max_duration: "The session reached the longest time the server allows. Press the button to go on.",
  slow_consumer: "This device did not keep up with the captions. Press the button to go on.",
  engine_failed: "The speech model failed on this audio. Press the button to try again.",
  shutting_down: "The server is restarting. Try again {when}.",
  internal: "Something went wrong on the server. Try again {when}.",
  connect_timeout: "The server does not answer. Check that it is running, then try again.",
  connection_lost: "The connection was lost. Check the network, then press the button to go on.",
  uplink_slow: "The network or the server is too slow for live audio. Find a better connection, then press the button to go on.",
  stop_timeout: "The server did not finish the last words in time; they may be missing.",
};

/** @type {Record<string, string>} */
const WARNINGS = {
  overloaded: "The server is busy: captions come less often for now.",
  audio_gap: "The connection was away for too long: {seconds} s of audio had to be dropped, and their words are missing.",
  ignored_option: "This server's model takes no words to expect; they have no effect.",
  clipped: "The microphone is too loud. Move back a little or turn it down.",
};

/** @type {Record<Kind, Record<string, string>>} by name of the DOMException */
const SOURCES = {
  microphone: {
    NotAllowedError:
      "The microphone is not allowed. Allow it for this page in the address bar or the browser's settings, then press the button again.",
    NotFoundError: "No microphone was found. Connect one, then press the button again.",
    NotReadableError:
      "The microphone is in use or switched off. Close other programs that use it, then press the button again.",
    NetworkError: UNREACHABLE,
    SecurityError: "Browsers give the microphone only to https pages and to localhost. Open this page at one of those.",
  },
  tab: {
    NotAllowedError: "No tab was chosen. Press Tab again and choose one.",
    NotFoundError: "What was chosen shares no sound. Choose a tab, and switch on “Also share tab audio”.",
    NetworkError: UNREACHABLE,
  },
  file: {
    EncodingError: "This browser finds no sound in the file that it can play. Try WAV, MP3, M4A, Ogg or WebM.",
    NotReadableError: "The file cannot be read. Check that it is still there, then open it again.",
    QuotaExceededError: "The file is too large for this page. Use `scribewire transcribe` for it.",
  },
};

/** @param {Notice} error */
export function adviseError({ code, message, retry_after_ms: waitMs }) {
  return (ERRORS[code] ?? `The server said: ${message || code}`).replace("{when}", when(waitMs));
}

/** @param {Notice} warning */
export function adviseWarning({ code, message, from_ms: from = 0, to_ms: to = 0 }) {
  const lost = String(Math.max(1, Math.round((to - from) / 1000)));
  return (WARNINGS[code] ?? `The server said: ${message || code}`).replace("{seconds}", lost);
}

/**
 * @param {Disconnected} disconnected
 * @param {Kind} kind
 * @param {boolean} stopping whether only the rest is to be sent
 */
export function adviseDisconnected({ attempt, retry_in_ms: retryInMs, error }, kind, stopping) {
  const why = error?.code === "shutting_down" ? "The server is restarting" : "The connection was lost";
  const kept = kind === "file" ? "" : " What is said meanwhile is kept.";
  const again = `${why}. Trying again${attempt > 1 ? ` ${when(retryInMs)}` : ""}`;
  return stopping ? `${again}, to send the rest. Press the button to end without it.` : `${again}.${kept}`;
}

/**
 * @param {Kind} kind
 * @param {unknown} error what opening the source threw
 */
export function adviseSource(kind, error) {
  const { name, message } = /** @type {Error} */ (error);
  const what = { microphone: "microphone", tab: "tab's audio", file: "file" }[kind];
  return SOURCES[kind][name] ?? `The ${what} could not be opened (${message || name}). Try another browser.`;
}

/** @param {number} code close code of a connection that ended without an error message */
export function adviseClose(code) {
  if (code === 1012) return ERRORS.shutting_down.replace("{when}", when());
  if (code === 4429) return ERRORS.overloaded.replace("{when}", when());
  if (code === 4501) return ERRORS.unauthorized;
  if (code === 4502) return ERRORS.forbidden_origin;
  if (code === 1006) return ERRORS.connection_lost;
  return `The server ended the session (${code}). Press the button to go on.`;
}

/**
 * Why a connection never stood: browsers do not tell, so the server's readiness is asked.
 * @returns {Promise<string>}
 */
export async function adviseUnreachable() {
  try {
    const reply = await fetch("/readyz", { cache: "no-store", signal: AbortSignal.timeout(3000) });
    if (reply.ok) return "The server refused the session. It may be busy: try again in a few seconds.";
    const seconds = Number(reply.headers.get("Retry-After"));
    if (reply.status === 503) return `The server is not ready yet. Try again ${when(seconds * 1000)}.`;
    return "The server refused the session. Ask whoever runs it.";
  } catch {
    return UNREACHABLE;
  }
}

/** @param {number} [waitMs] */
function when(waitMs) {
  if (!waitMs || waitMs < 0) return "in a few seconds";
  const seconds = Math.ceil(waitMs / 1000);
  if (seconds < 90) return seconds === 1 ? "in a second" : `in ${seconds} seconds`;
  return `in ${Math.ceil(seconds / 60)} minutes`;
}

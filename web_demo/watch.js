/** The audience's page: a room's words, large, for as long as it is open. */

import { Corrections, isEditors } from "./corrections.js";
import { RoomFeed, RoomTranscript, roomOfAddress } from "./room.js";
import { byId, languageName } from "./view.js";

/** @typedef {import("./room.js").Line} Line */

const STORED = "scribewire.watch";
const AT_END_PX = 24;
/** Lines that a page keeps; a day's lecture must not fill a phone. */
const MAX_LINES = 2000;
/** @type {Record<string, string>} */
const STATES = { waiting: "Waiting for words", live: "Live", reconnecting: "Reconnecting", failed: "Stopped" };
/** Of `style.css`. @type {Record<string, string>} */
const LOOKS = { waiting: "idle", live: "listening", reconnecting: "reconnecting", failed: "failed" };

const scroller = byId("captions");
const finals = byId("finals");
const open = byId("open");
const { room, token, query } = roomOfAddress();
const transcript = new RoomTranscript();
const feed = new RoomFeed(room, token);
const mayCorrect = isEditors(token) || query.get("edit") === "yes";
const corrections = mayCorrect ? new Corrections(feed, fill, () => follow(false)) : null;
/** @type {Map<string, HTMLElement>} */
const lines = new Map();
let following = true;
/** Height of the words and of their window when they were last looked at. */
let heights = "";

/** @param {Line} line */
function show(line) {
  byId("hint").hidden = true;
  const element = lines.get(line.key) ?? made(corrections ? "div" : "p", "line");
  element.dir = "auto";
  element.lang = line.language;
  if (corrections) corrections.show(element, line);
  else fill(element, line);
  lines.set(line.key, element);
  const place = line.final ? finals : open;
  if (element.parentElement !== place) place.append(element);
  if (finals.childElementCount > MAX_LINES) finals.firstElementChild?.remove();
}

/** @param {HTMLElement} element @param {Line} line */
function fill(element, { stable, unstable }) {
  const words = made("span", "stable");
  const unsure = made("span", "unstable");
  words.textContent = stable.trimStart();
  unsure.textContent = stable.trim() ? unstable : unstable.trimStart();
  element.hidden = !corrections && !stable && !unstable;
  element.replaceChildren(words, unsure);
}

/** @param {string} key */
function withdraw(key) {
  lines.get(key)?.remove();
  lines.delete(key);
}

/** @param {string} tag @param {string} className */
function made(tag, className) {
  const element = document.createElement(tag);
  element.className = className;
  return element;
}

/** Whether words or window have another size than before: then the reader did not scroll. */
function resized() {
  const before = heights;
  heights = `${scroller.scrollHeight} ${scroller.clientHeight}`;
  return heights !== before;
}

function keepUp() {
  const selection = getSelection();
  const selecting = selection !== null && !selection.isCollapsed && scroller.contains(selection.anchorNode);
  if (following && !selecting) scroller.scrollTop = scroller.scrollHeight;
  if (following) resized();
}

/** @param {boolean} wanted */
function follow(wanted) {
  following = wanted;
  byId("newest").hidden = wanted;
  keepUp();
}

scroller.addEventListener("scroll", () => {
  if (resized() && following) keepUp();
  else follow(scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < AT_END_PX);
}, { passive: true });
byId("newest").addEventListener("click", () => {
  follow(true);
  scroller.focus();
});
new ResizeObserver(keepUp).observe(scroller);

// How it looks

const form = /** @type {HTMLFormElement} */ (byId("look"));
const DEFAULTS = { size: "2", lines: "1.4", contrast: "device", awake: "yes" };

/** @param {string} name */
const control = (name) => /** @type {HTMLInputElement} */ (form.elements.namedItem(name));

function readLook() {
  let stored = {};
  try {
    stored = JSON.parse(localStorage.getItem(STORED) ?? "{}");
  } catch {
    // Storage is switched off, or is another program's.
  }
  const values = { ...DEFAULTS, ...stored, ...Object.fromEntries(query) };
  for (const name of ["size", "lines", "contrast"]) control(name).value = values[name];
  control("awake").checked = values.awake === "yes";
  applyLook();
}

function applyLook() {
  document.body.style.setProperty("--size", control("size").value);
  document.body.style.setProperty("--lines", control("lines").value);
  document.body.dataset.contrast = control("contrast").value;
  keepUp();
  keepAwake();
}

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", () => {
  applyLook();
  const kept = Object.fromEntries(["size", "lines", "contrast"].map((name) => [name, control(name).value]));
  try {
    localStorage.setItem(STORED, JSON.stringify({ ...kept, awake: control("awake").checked ? "yes" : "no" }));
  } catch {
    // It holds until the page is closed.
  }
});

// The screen

/** @type {WakeLockSentinel | null} */
let lock = null;

/** A browser takes the lock away whenever the page is hidden. */
async function keepAwake() {
  const wanted = control("awake").checked;
  if (!wanted) await lock?.release();
  if (!wanted || document.visibilityState !== "visible" || !("wakeLock" in navigator)) return;
  if (lock !== null && !lock.released) return;
  try {
    lock = await navigator.wakeLock.request("screen");
  } catch {
    // Saving power: the reader's device decides.
  }
}

document.addEventListener("visibilitychange", keepAwake);

// The room

/** @param {string} state @param {string} [text] */
function showState(state, text = STATES[state]) {
  const shown = byId("state");
  if (shown.textContent !== text) shown.textContent = text;
  shown.dataset.state = LOOKS[state];
}

/** @param {Line | undefined} newest whose language is the one that was heard last */
function showLanguage(newest) {
  if (!newest?.language) return;
  byId("language").textContent = languageName(newest.language);
  byId("language").hidden = false;
}

function followRoom() {
  feed.addEventListener("state", (event) => showState(/** @type {CustomEvent} */ (event).detail));
  feed.addEventListener("refused", (event) => {
    const error = /** @type {CustomEvent} */ (event).detail;
    showState("failed", error?.message ?? "The server ended this: reload the page.");
  });
  feed.addEventListener("message", (event) => {
    const { shown, withdrawn } = transcript.take(/** @type {CustomEvent} */ (event).detail);
    withdrawn.forEach(withdraw);
    shown.forEach(show);
    showLanguage(shown.at(-1));
    keepUp();
  });
  feed.start();
}

readLook();
if (room) {
  byId("room").textContent = room;
  document.title = `${room}: live captions`;
  followRoom();
} else {
  showState("failed", "The address names no room: it ends in ?room=NAME.");
}

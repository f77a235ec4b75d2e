/** Captions for a picture that somebody else shows: two rows that roll up. */

import { NOTHING, place, rows } from "./line-breaks.js";
import { RoomFeed, RoomTranscript, roomOfAddress } from "./room.js";
import { byId } from "./view.js";

/** @typedef {import("./room.js").Line} Line */

/** Seconds without a new word after which the captions go away; `?hide_after_s=0`: never. */
const HIDE_AFTER_S = 10;
const KEPT_SEGMENTS = 4;

const box = byId("box");
const { room, token, query } = roomOfAddress();
const transcript = new RoomTranscript();
const hideAfterMs = 1000 * Number(query.get("hide_after_s") ?? HIDE_AFTER_S);
const ruler = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
/** @type {ReturnType<typeof setTimeout> | undefined} */
let hiding;

/** @type {Map<string, { line: Line, placed: import("./line-breaks.js").Placed, shown: HTMLElement }>} */
const segments = new Map();

/** @returns {(text: string) => boolean} whether a text fits in a row, as the box is now */
function measure() {
  const { fontWeight, fontSize, fontFamily } = getComputedStyle(box);
  ruler.font = `${fontWeight} ${fontSize} ${fontFamily}`;
  // Punctuation that hangs over a row's end has its place there.
  const width = byId("segments").clientWidth - parseFloat(fontSize) * 0.6;
  return (text) => ruler.measureText(text).width <= width;
}

/** @param {Line} line */
function show(line) {
  if (!line.stable.trim() && line.final) return;
  box.hidden = false;
  const known = segments.get(line.key);
  const segment = known ?? { line, placed: NOTHING, shown: document.createElement("p") };
  segment.line = line;
  segments.set(line.key, segment);
  if (!known) {
    segment.shown.className = "segment";
    segment.shown.dir = "auto";
    byId("segments").append(segment.shown);
  }
  segment.shown.lang = line.language;
  render(segment);
  const [oldest] = segments.keys();
  if (segments.size > KEPT_SEGMENTS) withdraw(oldest);
}

/** What was corrected after it went is not shown again. @param {Line} line */
function replace(line) {
  const segment = segments.get(line.key);
  if (segment === undefined) return;
  segment.placed = NOTHING;
  if (line.stable.trim()) show(line);
  else withdraw(line.key);
}

/** @param {{ line: Line, placed: import("./line-breaks.js").Placed, shown: HTMLElement }} segment */
function render(segment) {
  const { stable, unstable, language } = segment.line;
  const all = stable + unstable;
  const text = all.trimStart();
  const stays = Math.max(0, stable.length - (all.length - text.length));
  const starts = rows(text, language, segment.placed, measure());
  segment.placed = place(starts, stays);
  const ends = [...starts.slice(1), text.length];
  segment.shown.replaceChildren(...starts.map((start, i) => row(text, start, ends[i], stays)));
}

/**
 * @param {string} text
 * @param {number} start
 * @param {number} end
 * @param {number} stays characters of the text
 */
function row(text, start, end, stays) {
  const made = document.createElement("span");
  const certain = document.createElement("span");
  const unsure = document.createElement("span");
  const border = Math.min(Math.max(stays, start), end);
  made.className = "row";
  certain.className = "stable";
  unsure.className = "unstable";
  certain.textContent = text.slice(start, border);
  unsure.textContent = text.slice(border, end);
  made.append(certain, unsure);
  return made;
}

/** @param {string} key */
function withdraw(key) {
  segments.get(key)?.shown.remove();
  segments.delete(key);
  box.hidden = segments.size === 0;
}

function hideLater() {
  clearTimeout(hiding);
  if (hideAfterMs > 0) hiding = setTimeout(() => [...segments.keys()].forEach(withdraw), hideAfterMs);
}

addEventListener("resize", () => {
  for (const segment of segments.values()) {
    segment.placed = NOTHING;
    render(segment);
  }
});

/** @param {string} text */
function complain(text) {
  byId("trouble").textContent = text;
  byId("trouble").hidden = false;
}

if (room) {
  const feed = new RoomFeed(room, token);
  feed.addEventListener("message", (event) => {
    const message = /** @type {CustomEvent} */ (event).detail;
    const { shown, withdrawn } = transcript.take(message);
    withdrawn.forEach(withdraw);
    shown.forEach(message.type === "corrected" ? replace : show);
    if (shown.length > 0 && message.type !== "corrected") hideLater();
  });
  feed.addEventListener("refused", (event) => {
    complain(/** @type {CustomEvent} */ (event).detail?.message ?? "The server ended this: reload the page.");
  });
  feed.start();
} else {
  complain("The address names no room: it ends in ?room=NAME.");
}

/** Captions as plain text, SubRip and WebVTT; the same rules as the server's `gateway/captions.py`. */

/**
 * @typedef {object} Cue
 * @property {string} text
 * @property {number} start_ms
 * @property {number} end_ms
 * @property {boolean} [cut] cut for its length: the next cue goes on with its sentence
 */

const LINE_BREAKS = /[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+/;

/**
 * A line per caption, one that was cut for its length joined with the next.
 * @param {readonly Cue[]} cues
 */
export function toText(cues) {
  let text = "";
  for (const cue of cues) {
    text += cue.text;
    if (!cue.cut) text = `${text.trim()}\n`;
  }
  return text.replace(/\n\s+/g, "\n").trim();
}

/**
 * SubRip: numbered cues with a decimal comma.
 * @param {readonly Cue[]} cues
 */
export function toSrt(cues) {
  return shown(cues)
    .map((cue, i) => `${i + 1}\n${timing(cue, ",")}\n${cue.text.replace(/-{2,}>/g, "->")}\n`)
    .join("\n");
}

/**
 * WebVTT (W3C): escaped text.
 * @param {readonly Cue[]} cues
 */
export function toVtt(cues) {
  return `WEBVTT\n${shown(cues)
    .map((cue) => `\n${timing(cue, ".")}\n${escaped(cue.text)}\n`)
    .join("")}`;
}

/**
 * Cues that can be shown: text on one line, and an end after the start. A blank line ends a cue in
 * both formats, and SRT has no escapes, so text gets no line breaks.
 * @param {readonly Cue[]} cues
 * @returns {Cue[]}
 */
function shown(cues) {
  return cues.flatMap(({ text, start_ms: start, end_ms: end }) => {
    const line = text.split(LINE_BREAKS).map((part) => part.trim()).filter(Boolean).join(" ");
    const from = Math.max(start, 0);
    return line ? [{ text: line, start_ms: from, end_ms: Math.max(end, from + 1) }] : [];
  });
}

/**
 * @param {Cue} cue
 * @param {string} decimal
 */
function timing({ start_ms: start, end_ms: end }, decimal) {
  return `${timestamp(start, decimal)} --> ${timestamp(end, decimal)}`;
}

/**
 * @param {number} ms
 * @param {string} decimal
 */
function timestamp(ms, decimal) {
  const seconds = Math.floor(ms / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const clock = parts.map((part) => String(part).padStart(2, "0")).join(":");
  return `${clock}${decimal}${String(Math.round(ms) % 1000).padStart(3, "0")}`;
}

/** @param {string} text */
function escaped(text) {
  // With ">" escaped no "-->" is left, which would end the cue's text.
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Where a growing text is broken into rows, so that words which stay also stay where they are. Pure. */

/** What may hang over a row's end rather than take its word to the next row. */
const HANGING = /[\s\p{P}]+$/u;
/** What no row begins with: it belongs to the word before. */
const CLOSING = /^[\p{Pe}\p{Pf}\p{Po}\s]+$/u;

/**
 * @typedef {object} Placed
 * @property {number[]} starts offsets of the rows that stay
 * @property {number} length characters that stay
 */

export const NOTHING = Object.freeze({ starts: [0], length: 0 });

/**
 * @param {string} text
 * @param {string} language
 * @returns {number[]} offsets at which a row may begin
 */
export function breakOffsets(text, language) {
  /** @type {number[]} */
  const offsets = [];
  for (const { segment, index } of segmenter(language).segment(text)) {
    if (index === 0 || CLOSING.test(segment)) continue;
    const before = text.slice(0, index);
    const spaced = /\s$/u.test(before);
    if (spaced || isUnspaced(segment) || isUnspaced(before.slice(-1))) offsets.push(index);
  }
  return offsets;
}

/**
 * Rows of a text. What was shown and stays is in the row that it was in, for ever.
 * @param {string} text
 * @param {string} language
 * @param {Placed} placed what stays already
 * @param {(text: string) => boolean} fits whether it fits in a row
 * @returns {number[]} offsets at which rows begin; the first is 0
 */
export function rows(text, language, placed, fits) {
  const starts = [...placed.starts];
  let end = placed.length;
  const offsets = breakOffsets(text, language).filter((offset) => offset > end);
  for (const offset of [...offsets, text.length]) {
    const start = starts[starts.length - 1];
    if (end > start && offset > end && !fits(text.slice(start, offset).replace(HANGING, ""))) starts.push(end);
    end = offset;
  }
  return starts;
}

/**
 * What stays of the rows that are shown.
 * @param {number[]} starts from `rows`
 * @param {number} length characters that stay
 * @returns {Placed}
 */
export function place(starts, length) {
  return { starts: starts.filter((start) => start === 0 || start < length), length };
}

/** Scripts that are written without spaces. @param {string} text */
function isUnspaced(text) {
  return /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u.test(text);
}

/** @type {Map<string, Intl.Segmenter>} */
const segmenters = new Map();

/** @param {string} language */
function segmenter(language) {
  let known = segmenters.get(language);
  if (known === undefined) {
    const supported = /^[a-z]{2,3}$/.test(language) ? [language] : [];
    known = new Intl.Segmenter(supported, { granularity: "word" });
    segmenters.set(language, known);
  }
  return known;
}

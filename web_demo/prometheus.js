/** Metrics as the server tells them, and what is to be learnt from two looks at them. */

/** @typedef {{ labels: Record<string, string>, value: number }} Sample */

const LINE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
/** @type {Record<string, string>} */
const ESCAPED = { "\\n": "\n", '\\"': '"', "\\\\": "\\" };

/** One look at `/metrics`. */
export class Look {
  /** @type {Map<string, Sample[]>} */
  #samples = new Map();

  /**
   * @param {string} text in the Prometheus text format
   * @param {number} at seconds, of any clock
   */
  constructor(text, at) {
    this.at = at;
    for (const line of text.split("\n")) {
      const found = LINE.exec(line);
      if (found === null) continue;
      const [, name, labels = "", value] = found;
      const known = this.#samples.get(name) ?? [];
      known.push({ labels: labelsOf(labels), value: value === "+Inf" ? Infinity : Number(value) });
      this.#samples.set(name, known);
    }
  }

  /** @param {string} name @returns {Sample[]} */
  of(name) {
    return this.#samples.get(name) ?? [];
  }

  /** @param {string} name @param {Record<string, string>} [labels] that are wanted */
  sum(name, labels = {}) {
    const wanted = Object.entries(labels);
    return this.of(name)
      .filter((sample) => wanted.every(([label, value]) => sample.labels[label] === value))
      .reduce((total, { value }) => total + value, 0);
  }

  /** Upper bounds and counts of a histogram, cumulative. @param {string} name @returns {[number, number][]} */
  buckets(name) {
    const bounds = this.of(`${name}_bucket`).map(({ labels, value }) => {
      const most = labels.le === "+Inf" ? Infinity : Number(labels.le);
      return /** @type {[number, number]} */ ([most, value]);
    });
    return bounds.sort(([one], [other]) => one - other);
  }
}

/** What happened between two looks; null where there was nothing to tell from. */
export class Between {
  /** @param {Look} before @param {Look} after */
  constructor(before, after) {
    this.before = before;
    this.after = after;
    this.seconds = after.at - before.at;
  }

  /** A counter's growth in a second. @param {string} name @param {Record<string, string>} [labels] */
  rate(name, labels) {
    return this.seconds > 0 ? this.#grown(name, labels) / this.seconds : null;
  }

  /** The mean of what a histogram was told. @param {string} name */
  mean(name) {
    const count = this.#grown(`${name}_count`);
    return count > 0 ? this.#grown(`${name}_sum`) / count : null;
  }

  /**
   * As Prometheus' own `histogram_quantile`: evenly spread within a bucket.
   * @param {number} share @param {string} name
   */
  quantile(share, name) {
    const before = new Map(this.before.buckets(name));
    const grown = this.after
      .buckets(name)
      .map(([most, count]) => /** @type {[number, number]} */ ([most, count - (before.get(most) ?? 0)]));
    const rank = share * (grown.at(-1)?.[1] ?? 0);
    if (rank === 0) return null;
    let [least, below] = [0, 0];
    for (const [most, count] of grown) {
      if (count >= rank) return most === Infinity ? least : least + ((most - least) * (rank - below)) / (count - below);
      [least, below] = [most, count];
    }
    return least;
  }

  /** @param {string} name @param {Record<string, string>} [labels] */
  #grown(name, labels) {
    return this.after.sum(name, labels) - this.before.sum(name, labels);
  }
}

/** @param {string} text between the braces */
function labelsOf(text) {
  /** @type {Record<string, string>} */
  const labels = {};
  for (const [, name, value] of text.matchAll(LABEL)) labels[name] = value.replace(/\\./g, (pair) => ESCAPED[pair] ?? pair);
  return labels;
}

/** Lines over time, with a table of what they show: the table says all that the picture does. */

/** @typedef {{ name: string, value: (between: import("./prometheus.js").Between) => number | null }} Line */
/** @typedef {{ title: string, unit: string, lines: Line[], detail?: (between: import("./prometheus.js").Between) => string }} Panel */

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [300, 100];

export class Plot {
  #rows;
  #paths;
  #picture = /** @type {SVGElement} */ (document.createElementNS(SVG, "svg"));
  #top = made("span", "top-of-scale");
  #detail = made("p", "detail");
  /** @type {(number | null)[][]} */
  #values;

  /**
   * @param {Panel} panel
   * @param {number} points that fit into the picture
   */
  constructor(panel, points) {
    this.panel = panel;
    this.points = points;
    this.#values = panel.lines.map(() => []);
    this.#picture.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.#picture.setAttribute("preserveAspectRatio", "none");
    this.#picture.setAttribute("role", "img");
    this.#paths = panel.lines.map((_, i) => drawn("path", `line line-${i}`));
    this.#picture.append(...this.#paths);
    this.#rows = panel.lines.map((line, i) => row(line.name, i));
    this.element = this.#built();
    this.#draw();
  }

  /** The next point of each line. @param {import("./prometheus.js").Between | null} between null: nothing is known */
  add(between) {
    this.#values.forEach((values, i) => {
      values.push(between && this.panel.lines[i].value(between));
      values.splice(0, values.length - this.points);
    });
    this.#detail.textContent = (between && this.panel.detail?.(between)) ?? "";
    this.#detail.hidden = this.#detail.textContent === "";
    this.#draw();
  }

  #draw() {
    const known = this.#values.flat().filter((value) => value !== null);
    const top = roundUp(Math.max(0, ...known));
    this.#top.textContent = top > 0 ? this.#shown(top) : "";
    this.#values.forEach((values, i) => this.#paths[i].setAttribute("d", path(values, top || 1, this.points)));
    const said = this.#rows.map(({ now, most }, i) => {
      const newest = this.#shown(this.#values[i].at(-1) ?? null);
      now.textContent = newest;
      const peak = this.#values[i].filter((value) => value !== null);
      most.textContent = this.#shown(peak.length > 0 ? Math.max(...peak) : null);
      return `${this.panel.lines[i].name} ${newest}, at most ${most.textContent}`;
    });
    this.#picture.setAttribute("aria-label", `${this.panel.title}: ${said.join("; ")}`);
  }

  /** @param {number | null} value */
  #shown(value) {
    if (value === null) return "–";
    const digits = value >= 100 ? 0 : value >= 10 || Number.isInteger(value) ? 1 : 2;
    return `${Number(value.toFixed(digits))}${this.panel.unit && ` ${this.panel.unit}`}`;
  }

  #built() {
    const section = made("section", "panel-of-lines");
    const heading = made("h2", "");
    heading.textContent = this.panel.title;
    const frame = made("div", "frame");
    frame.append(this.#picture, this.#top);
    const table = made("table", "");
    const head = made("tr", "");
    for (const text of ["", "now", "most"]) {
      const cell = made(text ? "th" : "td", "");
      if (text) cell.setAttribute("scope", "col");
      cell.textContent = text;
      head.append(cell);
    }
    table.append(head, ...this.#rows.map(({ element }) => element));
    section.append(heading, frame, table, this.#detail);
    return section;
  }
}

/** @param {string} name @param {number} i */
function row(name, i) {
  const [element, label, now, most] = [made("tr", ""), made("th", ""), made("td", ""), made("td", "")];
  const swatch = drawn("svg", "swatch");
  const line = drawn("path", `line line-${i}`);
  line.setAttribute("d", "M0 5H24");
  swatch.setAttribute("viewBox", "0 0 24 10");
  swatch.setAttribute("aria-hidden", "true");
  swatch.append(line);
  label.setAttribute("scope", "row");
  label.append(swatch, name);
  element.append(label, now, most);
  return { element, now, most };
}

/** @param {(number | null)[]} values @param {number} top @param {number} points */
function path(values, top, points) {
  const first = points - values.length;
  let pen = "M";
  let drawn = "";
  values.forEach((value, i) => {
    if (value === null) {
      pen = "M";
      return;
    }
    const x = ((first + i) * WIDTH) / (points - 1);
    drawn += `${pen}${x.toFixed(1)} ${(HEIGHT - 2 - (value / top) * (HEIGHT - 4)).toFixed(1)}`;
    pen = "L";
  });
  return drawn;
}

/** The next of 1, 2, 5, 10 … @param {number} value */
function roundUp(value) {
  if (value <= 0) return 0;
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * (/** @type {number} */ ([1, 2, 5, 10].find((step) => step * unit >= value * (1 - 1e-9))));
}

/** @param {string} tag @param {string} className */
function made(tag, className) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  return element;
}

/** @param {string} tag @param {string} className */
function drawn(tag, className) {
  const element = document.createElementNS(SVG, tag);
  element.setAttribute("class", className);
  return element;
}

/** The operator's page: what the gateway does, from its own `/metrics`, plotted while somebody watches. */

import { Plot } from "./plot.js";
import { Between, Look } from "./prometheus.js";
import { byId } from "./view.js";

/** @typedef {import("./plot.js").Panel} Panel */

const EVERY_MS = 1000;
const TIMEOUT_MS = 4000;
/** Three minutes are shown. */
const POINTS = 180;
/** Rates and percentiles are of so many looks: of one second there would be too little to tell from. */
const LOOKS = 10;

const state = (/** @type {string} */ name) => ({
  name,
  value: (/** @type {Between} */ { after }) => after.sum("scribewire_sessions_in_state", { state: name }),
});
const share = (/** @type {string} */ name, /** @type {number} */ of, /** @type {string} */ metric, scale = 1) => ({
  name,
  value: (/** @type {Between} */ between) => {
    const found = between.quantile(of, metric);
    return found === null ? null : scale * found;
  },
});
const mean = (/** @type {string} */ name, /** @type {string} */ metric) => ({
  name,
  value: (/** @type {Between} */ between) => between.mean(metric),
});
const rate = (/** @type {string} */ name, /** @type {string} */ metric) => ({
  name,
  value: (/** @type {Between} */ between) => between.rate(metric),
});

/** @type {Panel[]} */
const PANELS = [
  { title: "Sessions", unit: "", lines: ["open", "ending", "detached", "upload"].map(state) },
  {
    title: "From a chunk to its partial",
    unit: "s",
    lines: [
      share("partial, p50", 0.5, "scribewire_chunk_to_partial_seconds"),
      share("partial, p95", 0.95, "scribewire_chunk_to_partial_seconds"),
      share("queue, p95", 0.95, "scribewire_queue_seconds"),
    ],
  },
  {
    title: "Batches",
    unit: "",
    lines: [mean("steps in each", "scribewire_batch_size"), rate("a second", "scribewire_batch_size_count")],
  },
  {
    title: "A batch takes",
    unit: "s",
    lines: [mean("mean", "scribewire_batch_seconds"), share("p95", 0.95, "scribewire_batch_seconds")],
  },
  { title: "Load", unit: "%", lines: [{ name: "model busy", value: busy }] },
  {
    title: "Cadence in force",
    unit: "s",
    lines: [{ name: "between partials", value: ({ after }) => after.sum("scribewire_cadence_seconds") }],
  },
  {
    title: "Turned away, a second",
    unit: "",
    lines: [
      rate("sessions refused", "scribewire_refusals_total"),
      rate("without permission", "scribewire_access_denied_total"),
      rate("errors told", "scribewire_client_errors_total"),
    ],
    detail: reasons,
  },
  {
    title: "The event loop is late",
    unit: "ms",
    lines: [
      share("p50", 0.5, "scribewire_event_loop_late_seconds", 1000),
      share("p99", 0.99, "scribewire_event_loop_late_seconds", 1000),
    ],
  },
];

/** @param {Between} between */
function busy(between) {
  const lanes = between.after.sum("scribewire_model_lanes");
  const seconds = between.rate("scribewire_model_busy_seconds_total");
  return lanes > 0 && seconds !== null ? Math.min(100, (100 * seconds) / lanes) : null;
}

/** Refusals since the gateway's start. @param {Between} between */
function reasons({ after }) {
  const counts = after.of("scribewire_refusals_total").filter(({ value }) => value > 0);
  return counts.map(({ labels, value }) => `${labels.code}: ${value}`).join(", ");
}

const plots = PANELS.map((panel) => new Plot(panel, POINTS));
byId("panels").append(...plots.map(({ element }) => element));

/** The newest last. @type {Look[]} */
const looks = [];
/** Where the gateway asks for one; kept nowhere but here. */
let key = "";

/** @param {string} text @param {string} look of `style.css` */
function showState(text, look) {
  const shown = byId("state");
  if (shown.textContent !== text) shown.textContent = text;
  shown.dataset.state = look;
}

/** @param {Look} look */
function take(look) {
  const began = "scribewire_sessions_opened_created";
  if (looks.length > 0 && look.sum(began) !== looks[0].sum(began)) looks.length = 0; // another process answers
  looks.push(look);
  looks.splice(0, looks.length - LOOKS - 1);
  const between = new Between(looks[0], look);
  for (const plot of plots) plot.add(between);
  byId("audio").textContent = `${(between.rate("scribewire_audio_seconds_total") ?? 0).toFixed(1)} s of audio a second`;
  if (look.sum("scribewire_draining") > 0) showState("Draining", "reconnecting");
  else if (look.sum("scribewire_model_ready") === 0) showState("The model is not ready", "failed");
  else showState("Live", "listening");
}

function missed() {
  for (const plot of plots) plot.add(null);
}

/** @returns {Promise<boolean>} whether to ask again */
async function ask() {
  const headers = key ? { Authorization: `Bearer ${key}` } : undefined;
  try {
    const answer = await fetch("/metrics", { headers, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (answer.ok) take(new Look(await answer.text(), performance.now() / 1000));
    else if (answer.status === 401) return refuse((await answer.json()).message);
    else throw new Error(String(answer.status));
  } catch {
    missed();
    showState("No answer", "reconnecting");
  }
  return true;
}

/** @param {string} reason */
function refuse(reason) {
  showState("Not permitted", "failed");
  byId("key-message").textContent = key ? "This key is not valid." : reason;
  byId("key-form").hidden = false;
  byId("key").focus();
  return false;
}

async function watch() {
  const began = performance.now();
  if (document.hidden) missed();
  else if (!(await ask())) return;
  setTimeout(watch, Math.max(0, began + EVERY_MS - performance.now()));
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = /** @type {HTMLInputElement} */ (byId("key"));
  key = field.value.trim();
  field.value = "";
  byId("key-form").hidden = true;
  showState("Connecting", "connecting");
  watch();
});

watch();

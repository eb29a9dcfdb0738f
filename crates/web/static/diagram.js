// The flow as a sequence diagram. Each step is highlighted once it has happened.

import { el, show, svg } from "./dom.js";

/** @typedef {"Person" | "Client" | "Countersign" | "API"} Lane */
/** @typedef {"waiting" | "going" | "done" | "failed"} Stage */
/** @typedef {{ id: string, from: Lane, to: Lane, text: string, stage?: Stage, note?: string }} Step */
/** @typedef {ReturnType<typeof startDiagram>} Diagram */

const LANES = /** @type {Lane[]} */ (["Person", "Client", "Countersign", "API"]);
const HEAD = 40;
const ROW = 40;
/** The approximate width of a letter in pixels. Bold letters are the widest. */
const LETTER = 8;

const STAGES = { waiting: "not yet", going: "in progress", done: "done", failed: "failed" };

/**
 * Draws the diagram into `picture`, and writes the same as text into `list`.
 * @param {HTMLElement} picture
 * @param {HTMLElement} list
 */
export function startDiagram(picture, list) {
  /** @type {Step[]} */
  let steps = [];
  let width = 0;
  const draw = () => {
    if (width === 0 || steps.length === 0) return;
    show(picture, drawing(steps, width));
    show(list, ...steps.map(inWords));
  };
  new ResizeObserver(() => {
    if (picture.clientWidth === width) return;
    width = picture.clientWidth;
    draw();
  }).observe(picture);
  return {
    /** @param {Step[]} fresh */
    reset(fresh) {
      steps = fresh;
      draw();
    },
    /**
     * @param {string} id
     * @param {Stage} stage
     * @param {string} [note] status and duration
     * @param {string} [text] what is sent, if it only becomes known now
     */
    light(id, stage, note, text) {
      const step = steps.find((one) => one.id === id);
      if (!step) return;
      step.stage = stage;
      step.note = note ?? step.note;
      step.text = text ?? step.text;
      draw();
    },
    /**
     * Highlights a response with its status and duration. Without a timing, there was no response.
     * @param {"token" | "life"} exchange
     * @param {import("./api.js").Answer["timing"]} timing
     * @param {string} [refusal] its error code, if it is a refusal
     */
    answered(exchange, timing, refusal) {
      this.light(`${exchange}-request`, timing ? "done" : "failed");
      if (!timing) return;
      const status = refusal ? `${timing.status} ${refusal}` : timing.status;
      this.light(`${exchange}-answer`, refusal ? "failed" : "done", `${status} · ${timing.ms.toFixed(1)} ms`);
    },
  };
}

/** @param {Step} step */
function inWords({ from, to, text, stage = "waiting", note }) {
  return el("li", {}, `${from} to ${to}: ${text}. ${STAGES[stage]}${note ? `, ${note}` : ""}`);
}

/**
 * @param {Step[]} steps
 * @param {number} width
 */
function drawing(steps, width) {
  const lanes = LANES.filter((lane) => steps.some((step) => step.from === lane || step.to === lane));
  const edge = Math.min(96, Math.max(28, width / (2 * lanes.length) - 12));
  const x = (/** @type {Lane} */ lane) => edge + (lanes.indexOf(lane) * (width - 2 * edge)) / (lanes.length - 1);
  const height = HEAD + steps.length * ROW + 8;
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
    ...lanes.map((lane) => svg("line", { class: "lane", x1: x(lane), x2: x(lane), y1: 28, y2: height })),
    ...lanes.map((lane) => svg("text", { class: "lane-name", x: x(lane), y: 16, "text-anchor": "middle" }, lane)),
    ...steps.map((step, index) => arrow(step, x(step.from), x(step.to), HEAD + index * ROW, width)),
  );
}

/**
 * @param {Step} step
 * @param {number} from
 * @param {number} to
 * @param {number} top
 * @param {number} width
 */
function arrow({ text, stage = "waiting", note }, from, to, top, width) {
  const y = top + 26;
  const tip = to > from ? -1 : 1;
  const words = shorten(caption(text, stage, note), Math.floor((width - 8) / LETTER));
  const half = (words.length * LETTER) / 2 + 4;
  const middle = Math.min(width - half, Math.max(half, (from + to) / 2));
  return svg(
    "g",
    { class: `arrow ${stage}` },
    svg("line", { class: "shaft", x1: from, x2: to + tip * 6, y1: y, y2: y }),
    svg("path", { class: "tip", d: `M${to} ${y}l${tip * 9} -4.5v9z` }),
    svg("text", { class: "arrow-words", x: middle, y: y - 8, "text-anchor": "middle" }, words),
  );
}

/**
 * @param {string} text
 * @param {Stage} stage
 * @param {string} [note]
 */
function caption(text, stage, note) {
  if (stage === "failed") return `✗ ${note || text}`;
  if (!note) return text;
  return text === "response" ? `✓ ${note}` : `✓ ${note} · ${text}`;
}

/**
 * @param {string} words
 * @param {number} most
 */
const shorten = (words, most) => (words.length > most ? `${words.slice(0, most - 1)}…` : words);

// The results: the token set, the claims, and the verdicts.

import { copyButton, el, show } from "./dom.js";
import { explainCheck, explainClaim, explainMember, MOMENTS } from "./explain.js";
import { countDown, dateTime, now, timeOfDay } from "./time.js";

const ORDER = ["access_token", "token_type", "expires_in", "scope", "refresh_token"];

/** When a token expires, if known, and the callback for that moment. */
/** @typedef {{ until?: number, expired: () => void }} Life */

/** Counts the explanations, which need unique IDs. */
let explained = 0;

/** Stops the displayed countdown. */
export let stopCountDown = () => {};

/**
 * @param {Element} place
 * @param {Record<string, any>} set
 * @param {Life} life
 */
export function showTokenSet(place, set, life) {
  stopCountDown();
  const names = Object.keys(set).sort((a, b) => rank(a) - rank(b));
  show(place, el("dl", { class: "pairs" }, ...names.map((name) => member(name, set[name], life))));
}

/** @param {string} name */
const rank = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);

/**
 * @param {string} name
 * @param {any} value
 * @param {Life} life
 */
function member(name, value, life) {
  const text = String(value);
  const copy = copyButton(name, () => text);
  if (name === "access_token" || name === "refresh_token") {
    const box = el("div", { class: "token-box mono", id: `member-${name}`, tabindex: "0", role: "group", "aria-label": `value of ${name}` }, text);
    return pair(name, [box], explainMember(name), { control: copy, isLong: true });
  }
  const shown = el("span", { class: "mono wrapped", id: `member-${name}` }, text);
  return pair(name, [shown, name === "expires_in" && lifetime(Number(value), life)], explainMember(name), { control: copy });
}

/**
 * @param {number} seconds
 * @param {Life} life
 */
function lifetime(seconds, { until = now() + seconds, expired }) {
  const left = el("span", { class: "countdown", id: "countdown" });
  stopCountDown = countDown(left, until, expired);
  return el("span", { class: "until" }, `until ${timeOfDay(until)} · `, left);
}

/**
 * Creates a row with a name, its value, an explanation on demand, and an optional button.
 * @param {string} name
 * @param {import("./dom.js").Child[]} value
 * @param {string} meaning
 * @param {{ control?: HTMLElement, isLong?: boolean }} [more] a long value is on a separate line
 */
export function pair(name, value, meaning, { control, isLong = false } = {}) {
  const [button, words] = explanation(name, meaning, "dd");
  return el("div", { class: isLong ? "row long" : "row" }, el("dt", {}, el("code", {}, name)), el("dd", { class: "value" }, ...value), el("dd", { class: "tools" }, button, control), words);
}

/**
 * Creates a button, and the explanation that it toggles.
 * @param {string} name what is explained
 * @param {string} meaning
 * @param {"dd" | "p"} tag the tag of the explanation
 * @returns {[HTMLButtonElement, HTMLElement]}
 */
function explanation(name, meaning, tag) {
  explained += 1;
  const words = el(tag, { class: "meaning", id: `meaning-${explained}`, hidden: true }, meaning);
  const made = el("button", { type: "button", class: "explain", "aria-expanded": "false", "aria-controls": words.id, "aria-label": `Explain ${name}` }, "Explain");
  made.addEventListener("click", () => {
    words.hidden = !words.hidden;
    made.setAttribute("aria-expanded", String(!words.hidden));
  });
  return [made, words];
}

/**
 * Shows claims, or the members of an introspection response, with local times and explanations on demand.
 * @param {Element} place
 * @param {Record<string, any>} claims
 */
export function showClaims(place, claims) {
  show(place, el("dl", { class: "pairs" }, ...Object.entries(claims).map(([name, value]) => pair(name, claimValue(name, value), explainClaim(name)))));
}

/**
 * @param {string} name
 * @param {any} value
 * @returns {import("./dom.js").Child[]}
 */
function claimValue(name, value) {
  if (MOMENTS.includes(name) && typeof value === "number") {
    const iso = new Date(value * 1000).toISOString();
    return [el("time", { datetime: iso, title: iso }, dateTime(value)), " ", el("span", { class: "mono muted" }, String(value))];
  }
  return [el("span", { class: "mono wrapped" }, typeof value === "string" ? value : JSON.stringify(value))];
}

/**
 * @param {Element} place
 * @param {{ check: string, holds: boolean, reason: string }[]} checks
 */
export function showVerdicts(place, checks) {
  const failed = checks.filter((check) => !check.holds).length;
  const words = failed === 0 ? "All checks passed. An API can accept this token." : `${failed} of ${checks.length} checks failed. An API must refuse this token.`;
  show(place, el("p", { class: failed === 0 ? "verdict good" : "verdict bad", id: "verdict" }, mark(failed === 0), el("span", {}, words)), el("ul", { class: "checks" }, ...checks.map(verdict)));
}

/** @param {{ check: string, holds: boolean, reason: string }} check */
function verdict({ check, holds, reason }) {
  const [name, meaning] = explainCheck(check);
  const [button, words] = explanation(name, meaning, "p");
  const said = el("p", {}, el("strong", {}, name), " ", el("span", { class: holds ? "good-text" : "bad-text" }, holds ? "valid" : "not valid"));
  return el("li", { "data-check": check, "data-holds": String(holds) }, mark(holds), el("div", { class: "grow" }, said, el("p", { class: "muted small wrapped" }, reason), words), button);
}

/** @param {boolean} holds */
export const mark = (holds) => el("span", { class: holds ? "glyph good-text" : "glyph bad-text", "aria-hidden": "true" }, holds ? "✓" : "✗");

// What came back: the token set, the claims, and whether the token holds.

import { copyButton, el, show } from "./dom.js";
import { explainCheck, explainClaim, explainMember, MOMENTS } from "./explain.js";
import { countDown, dateTime, now, timeOfDay } from "./time.js";

const ORDER = ["access_token", "token_type", "expires_in", "scope", "refresh_token"];

/** Stops the countdown that is shown. */
export let stopCountDown = () => {};

/**
 * @param {Element} place
 * @param {Record<string, any>} set
 * @param {() => void} expired called when it passes its time while it is shown
 */
export function showTokenSet(place, set, expired) {
  stopCountDown();
  const names = Object.keys(set).sort((a, b) => rank(a) - rank(b));
  show(place, el("dl", { class: "pairs" }, ...names.map((name) => member(name, set[name], expired))));
}

/** @param {string} name */
const rank = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);

/**
 * @param {string} name
 * @param {any} value
 * @param {() => void} expired
 */
function member(name, value, expired) {
  const text = String(value);
  const long = name === "access_token" || name === "refresh_token";
  const shown = long ? el("div", { class: "token-box mono", id: `member-${name}`, tabindex: "0", role: "group", "aria-label": `value of ${name}` }, text) : el("span", { class: "mono", id: `member-${name}` }, text);
  return pair(name, [shown, name === "expires_in" && lifetime(Number(value), expired)], explainMember(name), copyButton(name, () => text));
}

/**
 * @param {number} seconds
 * @param {() => void} expired
 */
function lifetime(seconds, expired) {
  const until = now() + seconds;
  const left = el("span", { class: "countdown", id: "countdown" });
  stopCountDown = countDown(left, until, expired);
  return el("span", { class: "until" }, `until ${timeOfDay(until)}`, " · ", left);
}

/**
 * A name, its value, what it means on demand, and perhaps a button.
 * @param {string} name
 * @param {import("./dom.js").Child[]} value
 * @param {string} meaning
 * @param {HTMLElement | null} [control]
 */
export function pair(name, value, meaning, control = null) {
  const summary = el("summary", {}, "Explain", el("span", { class: "unseen" }, ` ${name}`));
  return el("div", { class: "row" }, el("dt", {}, el("code", {}, name)), el("dd", {}, ...value), el("dd", { class: "tools" }, el("details", { class: "explain" }, summary, el("p", {}, meaning)), control));
}

/**
 * Claims, or the members of an introspection: moments as local time, and every name explained on demand.
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
  const words = failed === 0 ? "Every check holds: an API may accept this token." : `${failed} of ${checks.length} checks ${failed === 1 ? "does" : "do"} not hold: an API must refuse this token.`;
  show(place, el("p", { class: failed === 0 ? "verdict good" : "verdict bad", id: "verdict" }, mark(failed === 0), words), el("ul", { class: "checks" }, ...checks.map(verdict)));
}

/** @param {{ check: string, holds: boolean, reason: string }} check */
function verdict({ check, holds, reason }) {
  const [name, asks] = explainCheck(check);
  return el("li", { "data-check": check, "data-holds": String(holds) }, mark(holds), el("div", {}, el("p", {}, el("strong", {}, name), " ", el("span", { class: holds ? "good-text" : "bad-text" }, holds ? "holds" : "does not hold"), el("span", { class: "muted" }, asks ? ` · ${asks}` : "")), el("p", { class: "muted small" }, reason)));
}

/** @param {boolean} holds */
export const mark = (holds) => el("span", { class: holds ? "glyph good-text" : "glyph bad-text", "aria-hidden": "true" }, holds ? "✓" : "✗");

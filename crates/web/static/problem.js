// Explains a failure: what happened, what it means, how to fix it.

import { Problem } from "./api.js";
import { el, focusOn, show } from "./dom.js";
import { explainCode } from "./explain.js";

/**
 * Creates a box that explains a failure.
 * @param {Problem} problem
 * @param {string} what the heading
 * @returns {HTMLElement}
 */
export function problemBox(problem, what) {
  const { means, change } = explainCode(problem.code);
  return el(
    "div",
    { class: "note bad problem", role: "group", "aria-label": what, "data-code": problem.code },
    el("p", { class: "problem-title" }, el("span", { "aria-hidden": "true", class: "glyph" }, "✗"), el("strong", {}, what), el("code", { class: "code-word" }, problem.code)),
    el("p", { class: "said" }, problem.message),
    el("dl", { class: "facts" }, el("dt", {}, "What it means"), el("dd", {}, means), el("dt", {}, "How to fix it"), el("dd", {}, change, wait(problem.retryAfter))),
    signIn(problem.code),
    problem.requestId ? el("p", { class: "small muted" }, "Request ID ", el("code", {}, problem.requestId), ". Search the log for it.") : null,
  );
}

/**
 * Shows a failure and focuses it. Anything but a Problem is an error of this page and is thrown again.
 * @param {Element} place
 * @param {unknown} error
 * @param {string} what
 * @param {string} [unanswered] the heading if there was no response, so that the action may have succeeded
 * @returns {Problem}
 */
export function showProblem(place, error, what, unanswered = what) {
  if (!(error instanceof Problem)) throw error;
  const box = problemBox(error, error.code === "network" ? unanswered : what);
  show(place, box);
  focusOn(box);
  return error;
}

/** @param {string | null} retryAfter */
function wait(retryAfter) {
  return retryAfter ? el("strong", {}, ` Try again in ${retryAfter} seconds.`) : null;
}

/** @param {string} code */
function signIn(code) {
  if (code !== "sign_in_needed") return null;
  const known = ["/protocols", "/m2m", "/settings", "/account"].includes(location.pathname);
  const next = known ? `?next=${location.pathname}` : "";
  return el("p", {}, el("a", { class: "button", href: `/login${next}` }, "Sign in again"));
}

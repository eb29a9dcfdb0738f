// The account page: one-time codes, the password, and the sessions.

import { call, post, Problem } from "./api.js";
import { byId, el, fieldError, focusOn, input, once, show, svg } from "./dom.js";
import { problemBox, showProblem } from "./problem.js";
import { ago, dateTime } from "./time.js";

/** The enrolment in progress. */
let enrolment = "";

form("enrol", ["enrol-password"], { password: "enrol-password" }, async () => {
  const { result } = await post("account/beginSecondFactor", { password: take("enrol-password") });
  enrolment = result.enrolment;
  show(byId("qr"), picture(result.qr));
  byId("secret").textContent = result.secret.replace(/(.{4})(?=.)/g, "$1 ");
  state("confirm", "");
  input("confirm-code").focus();
});
form("confirm", ["confirm-code"], { code: "confirm-code" }, async () => {
  await post("account/confirmSecondFactor", { enrolment, code: take("confirm-code") });
  state("remove", "✓ Signing in now requires a code. Your other sessions have ended.");
  await load();
});
form("remove", ["remove-password", "remove-code"], { password: "remove-password", code: "remove-code" }, async () => {
  await post("account/removeSecondFactor", { password: take("remove-password"), code: take("remove-code") });
  state("enrol", "✓ Removed. You no longer need a code to sign in.");
});
const changeFields = { password: "old-password", newPassword: "new-password", code: "change-code" };
form("change-password", ["old-password", "new-password", "change-code"], changeFields, async () => {
  const { length } = [...input("new-password").value]; // counts characters, like the server, not UTF-16 units
  if (length < 12 || length > 128) throw new Problem("bad_request", "newPassword: must have 12 to 128 characters");
  const code = byId("change-code-field").hidden ? {} : { code: take("change-code") };
  await post("account/changePassword", { password: take("old-password"), newPassword: take("new-password"), ...code });
  byId("password-status").textContent = "✓ Changed. All your other sessions have ended, and your tokens have been revoked.";
  await load();
});
byId("cancel-enrolment").addEventListener("click", () => state("enrol", "Nothing was changed."));
input("show-new").addEventListener("change", () => (input("new-password").type = input("show-new").checked ? "text" : "password"));
addEventListener("pagehide", forget);
load();

/**
 * Sets up a form that sends its fields, and shows each error next to its field.
 * @param {string} id
 * @param {string[]} required
 * @param {Record<string, string>} named the server's names of the fields
 * @param {() => Promise<void>} send
 */
function form(id, required, named, send) {
  const element = byId(id);
  for (const field of required) input(field).addEventListener("input", () => fieldError(input(field), ""));
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    once(element, () => attempt(element, required, named, send));
  });
}

/**
 * @param {HTMLElement} element
 * @param {string[]} required
 * @param {Record<string, string>} named
 * @param {() => Promise<void>} send
 */
async function attempt(element, required, named, send) {
  const place = /** @type {Element} */ (element.querySelector(".problem-slot"));
  show(place);
  byId("second-factor-status").textContent = "";
  byId("password-status").textContent = "";
  const empty = required.filter((field) => !input(field).value && !input(field).closest("[hidden]"));
  for (const field of required) fieldError(input(field), empty.includes(field) ? "Required" : "");
  if (empty.length > 0) return input(empty[0]).focus();
  try {
    await send();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const about = named[error.field] ?? (error.code === "wrong_answer" ? required[0] : "");
    if (!about) return void showProblem(place, error, "Nothing was changed", "The change may have succeeded");
    fieldError(input(about), error.code === "wrong_answer" ? wrong(required) : error.words);
    input(about).focus();
  }
}

/** @param {string[]} required */
const wrong = (required) => (required.includes("remove-code") || (required.includes("change-code") && !byId("change-code-field").hidden) ? "The password or the code is wrong, or the code has expired or was already used. Try again with the next code." : required.includes("confirm-code") ? "Wrong code. Wait for the next one." : "Wrong password.");

/**
 * Returns a field's value and clears the field.
 * @param {string} id
 */
function take(id) {
  const { value } = input(id);
  input(id).value = "";
  return value;
}

/**
 * Shows one of the three forms of the second factor.
 * @param {"enrol" | "confirm" | "remove"} shown
 * @param {string} words
 */
function state(shown, words) {
  for (const id of ["enrol", "confirm", "remove"]) byId(id).hidden = id !== shown;
  if (shown !== "confirm") forgetEnrolment();
  byId("change-code-field").hidden = shown !== "remove";
  byId("second-factor-badge").textContent = shown === "remove" ? "On" : "Off";
  byId("second-factor-status").textContent = words;
  if (words) focusOn(byId("second-factor-title"));
}

/** @param {{ size: number, path: string }} qr */
function picture({ size, path }) {
  const box = { viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": "QR code with the key", "shape-rendering": "crispEdges" };
  return svg("svg", box, svg("path", { d: path }));
}

async function load() {
  const place = byId("sessions");
  try {
    const { result } = await call("GET", "account/sessions");
    show(place, result.length === 0 ? el("p", { class: "empty" }, "No sessions. Sign in again to see your session here.") : el("ul", { class: "session-list" }, ...result.map(row)));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const again = el("button", { type: "button", class: "button" }, "Try again");
    again.addEventListener("click", load);
    show(place, problemBox(error, "Failed to load the sessions"), el("p", { class: "actions" }, again));
  }
}

/** @param {{ id: string, current: boolean, createdAt: number, lastSeenAt: number, expiresAt: number, address: string, userAgent: string }} session */
function row(session) {
  const name = browser(session.userAgent);
  const end = el("button", { type: "button", class: "button small-button", "aria-label": `End the session of ${name}, ${session.address}` }, "End");
  const place = el("div", { class: "problem-slot" });
  end.addEventListener("click", () => once(end, () => finish(session.id, place)));
  return el(
    "li",
    {},
    el(
      "div",
      { class: "session-words" },
      el("p", {}, el("strong", { title: session.userAgent ?? "" }, name), " ", session.current && el("span", { class: "badge good" }, "This one")),
      el("p", { class: "muted small" }, `${session.address} · signed in ${dateTime(session.createdAt)} · last seen ${ago(session.lastSeenAt)} · expires ${dateTime(session.expiresAt)}`),
      place,
    ),
    session.current ? null : end,
  );
}

/**
 * @param {string} session
 * @param {Element} place
 */
async function finish(session, place) {
  try {
    await post("account/endSession", { session });
    await load();
    focusOn(byId("sessions-title"));
  } catch (error) {
    showProblem(place, error, "The session was not ended", "The session may have ended");
  }
}

/**
 * Returns a browser's name from its User-Agent. The title contains the full text.
 * @param {string | null} agent
 */
function browser(agent) {
  const said = agent ?? "";
  const names = /** @type {[RegExp, string][]} */ ([[/Edg\//, "Edge"], [/Firefox\//, "Firefox"], [/Chrom(e|ium)\//, "Chrome"], [/Safari\//, "Safari"], [/curl\//, "curl"]]);
  const systems = /** @type {[RegExp, string][]} */ ([[/Android/, "Android"], [/iPhone|iPad/, "iOS"], [/Windows/, "Windows"], [/Mac OS X/, "macOS"], [/Linux/, "Linux"]]);
  const name = names.find(([pattern]) => pattern.test(said))?.[1] ?? "A browser";
  const system = systems.find(([pattern]) => pattern.test(said))?.[1];
  return system ? `${name} on ${system}` : name;
}

function forgetEnrolment() {
  enrolment = "";
  show(byId("qr"));
  byId("secret").textContent = "";
}

function forget() {
  forgetEnrolment();
  for (const field of document.querySelectorAll("form input:not([readonly]):not([type=checkbox])")) /** @type {HTMLInputElement} */ (field).value = "";
}

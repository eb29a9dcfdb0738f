// The life of a token. Tokens and the password are only in this module and on the page.
// Both are cleared when the user leaves the page.

import { post, Problem } from "./api.js";
import { startDiagram } from "./diagram.js";
import { announce, byId, el, focusOn, once, show } from "./dom.js";
import { forgetPassword, markErrors, say, startFlow } from "./flow.js";
import { findExpiry, showJwt } from "./jwt.js";
import { startLife } from "./life.js";
import { clearPreview, showPreview } from "./preview.js";
import { problemBox, showProblem } from "./problem.js";
import { startResource } from "./resource.js";
import { showClaims, showTokenSet, showVerdicts, stopCountDown } from "./result.js";
import { leave } from "./shell.js";

/** What Submit will send, exactly as previewed. @type {Record<string, string> | null} */
let built = null;
/** The displayed token set. @type {Record<string, any> | null} */
let held = null;
/** Counts changes of the inputs, to detect late responses to earlier ones. */
let changes = 0;
/** Counts the checks, so that only the latest is shown. */
let checks = 0;
/** The number of checks in progress. */
let checking = 0;
/** The displayed verdicts. */
let verdicts = "";
/** Counts how often everything was cleared. Responses to earlier requests are ignored. */
let wipes = 0;

const diagram = startDiagram(byId("diagram"), byId("diagram-steps"));
const flow = startFlow({ changed, build, submit });
const recheck = () => check({ again: true });
const resource = startResource({ token: () => held?.access_token, recheck, diagram });
const life = startLife({ held: () => held, replace, check, callAgain: () => resource.call(byId("resource-form"), "GET", "/resource/whoami"), diagram });
byId("another").addEventListener("click", () => leave(byId("another"), byId("another-problem"), wipe));
addEventListener("pagehide", wipe);
addEventListener("pageshow", begun);
// Another tab may have revoked the token or ended the session in the meantime.
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && recheck());
begun();

/** The browser may have restored the form. */
function begun() {
  flow.sync();
  if (!held) diagram.reset(flow.steps());
}

/** Marks everything built or displayed as outdated. */
function changed() {
  changes += 1;
  if (built) say("The inputs have changed. Build the request again.");
  built = null;
  flow.allowSubmit(false);
  clearPreview(byId("preview"));
  show(byId("flow-problem"));
  if (held) markStale();
  else diagram.reset(flow.steps());
}

function markStale() {
  byId("stale").hidden = false;
  byId("token-from").textContent = "from an earlier request";
}

async function build() {
  const body = flow.read();
  if (!body) return;
  const [of, during] = [changes, wipes];
  show(byId("flow-problem"));
  say("Building…");
  try {
    const { result } = await post("tokenRequestPreview", body);
    if (during !== wipes) return;
    if (of !== changes) return say("The inputs have changed. Build the request again.");
    showPreview(byId("preview"), result);
    built = body;
    flow.allowSubmit(true);
    say("✓ Built. Submit sends exactly this.");
  } catch (error) {
    if (during !== wipes) return;
    if (of === changes) say("");
    refuse(error, "Failed to build the request");
  }
}

async function submit() {
  const body = built;
  if (!body) return;
  const [of, during] = [changes, wipes];
  show(byId("flow-problem"));
  say("Requesting a token…");
  begin();
  try {
    const answer = await post("tokenSet", body);
    if (during !== wipes) return;
    diagram.answered("token", answer.timing);
    byId("stale").hidden = true;
    await replace(answer.result, "from this request");
    if (of !== changes) markStale();
    say(body.grantType === "password" ? "✓ Received the token set. To request another, enter the password again." : "✓ Received the token set.");
    focusOn(byId("token-title"), "start");
  } catch (error) {
    if (during !== wipes) return;
    if (error instanceof Problem) diagram.answered("token", error.timing, error.code);
    say("");
    if (held) markStale();
    refuse(error, "No token was issued", "No response; a token may have been issued");
  } finally {
    if (body.grantType === "password" && during === wipes) forgetOwner(of);
  }
}

/** Clears the password after one use, together with the request that contains it. @param {number} of */
function forgetOwner(of) {
  forgetPassword();
  if (of !== changes) return;
  built = null;
  flow.allowSubmit(false);
}

function begin() {
  diagram.reset(flow.steps());
  diagram.light("person", "done");
  diagram.light("token-request", "going");
}

/**
 * Shows a failure: the message at its field, the explanation below the buttons.
 * @param {unknown} error
 * @param {string} what
 * @param {string} [unanswered]
 */
function refuse(error, what, unanswered) {
  const problem = showProblem(byId("flow-problem"), error, what, unanswered);
  markErrors(problem);
}

/**
 * Replaces the displayed token set.
 * @param {Record<string, any>} set
 * @param {string} from its origin
 */
async function replace(set, from) {
  held = set;
  verdicts = "";
  byId("token-from").textContent = from;
  showTokenSet(byId("token-set"), set, { until: findExpiry(set.access_token), expired });
  showJwt(byId("jwt"), set.access_token);
  byId("results").hidden = false;
  resource.clear();
  life.clear();
  await check();
}

/**
 * Loads the claims and the verdicts of the displayed token. With `again`, keeps the displayed content if nothing
 * has changed, or if there is no response, so that users can keep reading.
 * @param {{ again?: boolean }} [how]
 */
async function check({ again = false } = {}) {
  const token = held?.access_token;
  if (!token || (again && checking > 0)) return;
  checks += 1;
  checking += 1;
  const turn = checks;
  try {
    const { result } = await post("claims", { token });
    if (turn !== checks || !held) return;
    const said = JSON.stringify(result.checks);
    if (again && said === verdicts) return;
    verdicts = said;
    showClaims(byId("claims"), result.claims);
    showVerdicts(byId("verdicts"), result.checks);
    nameEnd(result.checks);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (turn !== checks || !held || (again && error.code !== "sign_in_needed")) return;
    verdicts = "";
    if (!again) show(byId("claims"), problemBox(error, "Failed to read the claims"));
    const retry = el("button", { type: "button", class: "button", id: "check-again" }, "Check again");
    retry.addEventListener("click", () => once(retry, () => check()));
    show(byId("verdicts"), problemBox(error, "Failed to check the token"), error.code === "sign_in_needed" ? null : el("p", { class: "actions" }, retry));
  } finally {
    checking -= 1;
  }
}

/** Marks a token that is no longer valid. @param {{ check: string, holds: boolean }[]} said */
function nameEnd(said) {
  const fails = (/** @type {string} */ name) => said.some(({ check, holds }) => check === name && !holds);
  if (fails("time")) byId("token-from").textContent = "expired";
  else if (fails("revocation")) byId("token-from").textContent = "revoked";
}

function expired() {
  announce("The token has expired.");
  byId("token-from").textContent = "expired";
  check();
}

/** Clears tokens and the password, here and on the page. */
function wipe() {
  wipes += 1;
  built = null;
  held = null;
  forgetPassword();
  stopCountDown();
  flow.allowSubmit(false);
  clearPreview(byId("preview"));
  for (const id of ["token-set", "verdicts", "claims", "jwt", "flow-problem"]) show(byId(id));
  resource.clear();
  life.clear();
  byId("results").hidden = true;
  say("");
  diagram.reset(flow.steps());
}

// A token from the first choice to its end. Tokens and the password live in this module and in what the page shows,
// nowhere else; both are wiped when the page is left.

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

/** What Submit would send: exactly what was previewed. @type {Record<string, string> | null} */
let built = null;
/** The token set that is shown. @type {Record<string, any> | null} */
let held = null;
/** Counts the changes of the inputs, so that a late answer to earlier ones is known as such. */
let changes = 0;
/** Counts the checks, so that only the newest is shown. */
let checks = 0;
/** How many of them are under way. */
let checking = 0;
/** What the verdicts that are shown say of the token that is shown. */
let verdicts = "";
/** Counts how often everything was forgotten: an answer to a question before that is neither shown nor used. */
let wipes = 0;

const diagram = startDiagram(byId("diagram"), byId("diagram-steps"));
const flow = startFlow({ changed, build, submit });
const recheck = () => check({ again: true });
const resource = startResource({ token: () => held?.access_token, recheck, diagram });
const life = startLife({ held: () => held, replace, check, callAgain: () => resource.call(byId("resource-form"), "GET", "/resource/whoami"), diagram });
byId("another").addEventListener("click", () => leave(byId("another"), byId("another-problem"), wipe));
addEventListener("pagehide", wipe);
addEventListener("pageshow", begun);
// Meanwhile another tab may have ended the token, or the session with it.
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && recheck());
begun();

/** The browser may have restored a choice of the form by itself. */
function begun() {
  flow.sync();
  if (!held) diagram.reset(flow.steps());
}

/** Whatever was built or shown is of earlier inputs now. */
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

/** The password is used once: what was built with it is not to be sent again. @param {number} of */
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
 * A failure beside its cause: words at the field, the explanation below the buttons.
 * @param {unknown} error
 * @param {string} what
 * @param {string} [unanswered]
 */
function refuse(error, what, unanswered) {
  const problem = showProblem(byId("flow-problem"), error, what, unanswered);
  markErrors(problem);
}

/**
 * Shows a new token set in place of the old one.
 * @param {Record<string, any>} set
 * @param {string} from where it comes from, in words
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
 * Asks for the claims and the verdicts of the token that is shown. Asked again, it leaves what says the same as it
 * stands, with what is read in it, and so it does where no answer comes.
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

/** A token that is dead is called so at its head. @param {{ check: string, holds: boolean }[]} said */
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

/** Forgets tokens and password, here and in what the page shows. */
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

// Sign-in step by step: name, password, and a one-time code if the user has a second factor.

import { post, Problem } from "./api.js";
import { button, byId, fieldError, input, once, show } from "./dom.js";
import { showProblem } from "./problem.js";

const form = byId("login");
const user = input("user");
const answer = input("answer");
const startOver = button("start-over");
const status = byId("login-status");

/** The current challenge, or null before a name was sent. @type {{ SessionId: string, TenantId: string, Mechanism: any } | null} */
let asked = null;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  once(form, asked ? advance : begin);
});
button("next").disabled = false; // before this, a click would submit the form natively, which nothing handles
startOver.addEventListener("click", () => once(form, abandon));
for (const field of [user, answer]) field.addEventListener("input", () => fieldError(field, ""));
addEventListener("pagehide", () => reset(""));

async function begin() {
  clear();
  if (!user.value.trim()) return refuse(user, "Enter your username.");
  try {
    const { result } = await post("auth/beginAuth", { User: user.value.trim(), Version: "1.0" });
    ask(result);
  } catch (error) {
    complain(error, user);
  }
}

async function advance() {
  if (!asked) return;
  clear();
  const given = answer.value;
  if (!given) return refuse(answer, `${asked.Mechanism.Name === "OATH" ? "Enter the code." : "Enter your password."}`);
  answer.value = "";
  const { SessionId, TenantId, Mechanism } = asked;
  try {
    const { result } = await post("auth/advanceAuth", { SessionId, TenantId, MechanismId: Mechanism.MechanismId, Action: "Answer", Answer: given });
    if (result.Summary === "LoginSuccess") enter(result);
    else ask(result);
  } catch (error) {
    complain(error, answer);
  }
}

async function abandon() {
  const left = asked;
  reset("Started over.");
  if (!left) return;
  // The sign-in expires after some minutes anyway, so a failure does not matter.
  await post("auth/advanceAuth", { SessionId: left.SessionId, TenantId: left.TenantId, Action: "StartOver" }).catch(() => {});
}

/** @param {any} asking a package of challenges */
function ask(asking) {
  const Mechanism = asking.Challenges[0].Mechanisms[0];
  asked = { SessionId: asking.SessionId, TenantId: asking.TenantId, Mechanism };
  const isCode = Mechanism.Name === "OATH";
  user.readOnly = true;
  byId("answer-field").hidden = false;
  byId("answer-label").textContent = isCode ? "One-time code" : "Password";
  byId("answer-hint").textContent = Mechanism.PromptMechChosen;
  answer.type = isCode ? "text" : "password";
  answer.autocomplete = isCode ? "one-time-code" : "current-password";
  answer.inputMode = isCode ? "numeric" : "text";
  startOver.hidden = false;
  answer.focus();
}

/** @param {{ DisplayName?: string, User: string }} result */
function enter(result) {
  status.textContent = `✓ Signed in as ${result.DisplayName ?? result.User}.`;
  location.replace(form.dataset.next ?? "/protocols");
}

/**
 * @param {unknown} error
 * @param {HTMLInputElement} field
 */
function complain(error, field) {
  if (!(error instanceof Problem)) throw error;
  if (error.code === "wrong_answer") {
    const words = asked?.Mechanism.Name === "OATH" ? "Wrong code. Wait for the next one and try again. Each code works only once." : "Wrong username or password. Try again, or start over with another name.";
    return refuse(field, words);
  }
  if (error.code === "bad_request" && error.field === "SessionId") {
    reset("");
    return refuse(user, "The sign-in has expired. Start over.");
  }
  if (error.code === "bad_request" && (error.field === "User" || error.field === "Answer")) return refuse(field, error.words);
  showProblem(byId("login-problem"), error, "Not signed in");
}

/**
 * @param {HTMLInputElement} field
 * @param {string} words
 */
function refuse(field, words) {
  fieldError(field, words);
  field.focus();
}

/** @param {string} words */
function reset(words) {
  asked = null;
  clear();
  answer.value = "";
  user.readOnly = false;
  byId("answer-field").hidden = true;
  startOver.hidden = true;
  status.textContent = words;
  user.focus();
}

function clear() {
  fieldError(user, "");
  fieldError(answer, "");
  show(byId("login-problem"));
  status.textContent = "";
}

// The settings form. It loads all settings once and saves them together with their version. The secret is write-only.

import { call, Problem } from "./api.js";
import { button, byId, fieldError, input, once, show } from "./dom.js";
import { showProblem } from "./problem.js";

const NAMES = ["oauthAppId", "oauthServiceUserName", "oauthServiceUserPassword", "oauthScopesSupported"];
const SECRET = "oauthServiceUserPassword";
const form = byId("settings");
const status = byId("settings-status");
const reload = button("reload");

/** @type {number | undefined} */
let version;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  once(button("save"), save);
});
reload.addEventListener("click", () => once(reload, load));
for (const name of NAMES) {
  input(name).addEventListener("input", () => {
    fieldError(input(name), "");
    status.textContent = "";
  });
}
addEventListener("pagehide", () => (input(SECRET).value = ""));
load();

async function load() {
  show(byId("settings-problem"));
  status.textContent = "Loading the settings…";
  try {
    fill((await call("GET", "getSettings")).result);
    status.textContent = "";
  } catch (error) {
    status.textContent = "";
    showProblem(byId("settings-problem"), error, "Failed to load the settings");
    reload.hidden = false;
  }
}

/** @param {Record<string, any>} stored */
function fill(stored) {
  for (const name of NAMES) {
    const field = input(name);
    field.disabled = false;
    field.value = name === SECRET ? "" : (stored[name] ?? "");
    fieldError(field, "");
  }
  note(stored.version, stored[SECRET] === "set");
  button("save").disabled = false;
  reload.hidden = true;
  form.removeAttribute("aria-busy");
}

/**
 * @param {number | undefined} stored
 * @param {boolean} hasSecret
 */
function note(stored, hasSecret) {
  version = stored;
  byId("version").textContent = stored === undefined ? "" : `Version ${stored}`;
  input(SECRET).placeholder = hasSecret ? "set" : "not set";
  input(SECRET).required = !hasSecret;
  byId("secret-state").textContent = hasSecret ? "A secret is stored. Leave this empty to keep it." : "No secret is stored yet.";
}

async function save() {
  show(byId("settings-problem"));
  status.textContent = "";
  if (!check()) return;
  const saved = await call("PUT", "updateSettings", written()).catch(complain);
  if (!saved) return;
  input(SECRET).value = "";
  // Loads the settings again: the next save needs the new version, and the page shows the stored values.
  await load();
  status.textContent = `✓ ${saved.result}`;
}

function written() {
  const values = Object.fromEntries(NAMES.map((name) => [name, name === SECRET ? input(name).value : input(name).value.trim()]));
  if (!values[SECRET]) delete values[SECRET];
  return { version, tenantUrl: input("tenantUrl").value, ...values };
}

/** True if every required field has a value. */
function check() {
  const empty = NAMES.filter((name) => input(name).required && !input(name).value.trim());
  for (const name of NAMES) fieldError(input(name), empty.includes(name) ? "Required" : "");
  if (empty.length > 0) input(empty[0]).focus();
  return empty.length === 0;
}

/** @param {unknown} error */
function complain(error) {
  if (error instanceof Problem && NAMES.includes(error.field)) {
    fieldError(input(error.field), error.words);
    input(error.field).focus();
    return;
  }
  const problem = showProblem(byId("settings-problem"), error, "Nothing was saved", "No response; the settings may have been saved");
  reload.hidden = !["conflict", "network"].includes(problem.code);
}

// The form: the grant, the API, the scopes, and the user's password.

import { button, byId, fieldError, input, once, select } from "./dom.js";

/** @typedef {import("./diagram.js").Step} Step */

const HINTS = {
  client_credentials: "The service authenticates with its own secret. No user is involved. RFC 6749 §4.4",
  password: "The service sends the user's name and password. RFC 6749 §4.3",
};

const grant = select("flow");
const api = select("api");
const owner = /** @type {HTMLFieldSetElement} */ (byId("owner"));
const form = byId("flow-form");

/**
 * Handles the events of the form.
 * @param {{ changed: () => void, build: () => Promise<void>, submit: () => Promise<void> }} on
 */
export function startFlow({ changed, build, submit }) {
  const follow = () => {
    sync();
    changed();
  };
  form.addEventListener("input", follow);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!button("build").disabled) once(button("build"), build);
  });
  button("submit").addEventListener("click", () => once(button("submit"), submit));
  sync();
  return { sync, read, steps, allowSubmit };
}

/** Shows a status below the buttons. @param {string} words */
export function say(words) {
  byId("flow-status").textContent = words;
}

/** @param {boolean} allowed */
function allowSubmit(allowed) {
  button("submit").disabled = !allowed;
}

/** Shows the fields of the selected flow and API, and disables the others, so that no value of one flow is sent in another. */
function sync() {
  const isPassword = grant.value === "password";
  byId("deprecated").hidden = !isPassword;
  owner.hidden = !isPassword;
  owner.disabled = !isPassword;
  if (!isPassword) forgetPassword();
  byId("flow-hint").textContent = HINTS[isPassword ? "password" : "client_credentials"];
  for (const set of scopeSets()) {
    set.hidden = set.dataset.api !== api.value;
    set.disabled = set.hidden;
  }
  byId("api-hint").textContent = describeApi(isPassword);
  for (const field of [api, input("userName"), input("password")]) fieldError(field, "");
  byId("scope-error").textContent = "";
}

/** @param {boolean} isPassword */
function describeApi(isPassword) {
  const chosen = api.selectedOptions[0];
  if (!chosen) return "No API is registered yet.";
  const allowed = isPassword ? chosen.dataset.password : chosen.dataset.clientCredentials;
  const warning = allowed === "true" ? "" : " The client may not use this flow here, so the server will return unauthorized_client.";
  return `Its tokens have the audience ${chosen.dataset.audience}.${warning}`;
}

function scopeSets() {
  return /** @type {NodeListOf<HTMLFieldSetElement>} */ (form.querySelectorAll("fieldset.scopes"));
}

/** Returns the request, or null after showing what is missing. @returns {Record<string, string> | null} */
function read() {
  const scopes = /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll("fieldset.scopes:enabled input:checked"));
  /** @type {Record<string, string>} */
  const body = { authFlow: "OAUTH", grantType: grant.value };
  if (api.value) body.api = api.value;
  body.scope = [...scopes].map((scope) => scope.value).join(" "); // empty: no scope is sent
  if (grant.value !== "password") return body;
  for (const name of ["password", "userName"]) {
    const field = input(name);
    fieldError(field, field.value ? "" : "Required for this flow.");
    if (!field.value) field.focus();
  }
  const { value: userName } = input("userName");
  const { value: password } = input("password");
  return userName && password ? { ...body, userName, password } : null;
}

/** Returns the steps of the selected flow for the diagram. @returns {Step[]} */
function steps() {
  const path = `/OAuth2/Token/${api.value}`;
  const person = /** @type {Step[]} */ ([{ id: "person", from: "Person", to: "Client", text: "name and password" }]);
  return [
    ...(grant.value === "password" ? person : []),
    { id: "token-request", from: "Client", to: "Countersign", text: `POST ${path}` },
    { id: "token-answer", from: "Countersign", to: "Client", text: "access token" },
    { id: "call-request", from: "Client", to: "API", text: "call with the token" },
    { id: "call-answer", from: "API", to: "Client", text: "response" },
    { id: "life-request", from: "Client", to: "Countersign", text: "introspect, refresh or revoke" },
    { id: "life-answer", from: "Countersign", to: "Client", text: "response" },
  ];
}

/**
 * Shows an error at its field.
 * @param {import("./api.js").Problem} problem
 */
export function markErrors(problem) {
  const { code, field, words } = problem;
  if (code === "invalid_scope" || field === "scope") byId("scope-error").textContent = `✗ ${words}`;
  if (code === "invalid_target" || field === "api") fieldError(api, words);
  if (code === "invalid_grant") fieldError(input("password"), "Wrong name or password.");
  if (field === "userName" || field === "password") fieldError(input(field), words);
}

export function forgetPassword() {
  input("password").value = "";
}

// Calls an API with the token, and shows which rule allowed the request.

import { post } from "./api.js";
import { button, byId, el, fieldError, focusOn, input, inTurn, select, show } from "./dom.js";
import { explainCode } from "./explain.js";
import { codeBlock } from "./preview.js";
import { showProblem } from "./problem.js";
import { mark } from "./result.js";

/**
 * @typedef {object} Call
 * @property {{ method: string, url: string, headers: Record<string, string>, body: string | null }} request
 * @property {number} status
 * @property {Record<string, string>} headers
 * @property {string} body
 * @property {{ allowed: boolean, scope: string | null, rule: string | null, reason: string }} decision
 */

/**
 * @typedef {object} Page
 * @property {() => string | undefined} token the displayed token
 * @property {() => Promise<void>} recheck called if a response shows that the token is no longer valid
 * @property {import("./diagram.js").Diagram} diagram
 */

/** The reason phrases of the statuses that occur here. @type {Record<number, string>} */
const STATUS = { 200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 500: "Internal Server Error", 503: "Service Unavailable" };

const AMBIGUOUS = {
  means: "The path is ambiguous. The guard and the API could interpret it differently, so the guard refuses it.",
  change: "Send the path in normalized form: without . and .. segments, double or escaped slashes, or invalid percent escapes.",
};

const FOREIGN = {
  means: "The token is valid, but its aud is another API. This check prevents one API from using a token to call another (RFC 9068 §4).",
  change: "Choose the API that these paths belong to, and get a token for it.",
};

/**
 * @param {Page} page
 */
export function startResource(page) {
  const place = byId("resource-result");
  const run = (/** @type {HTMLElement} */ control, /** @type {string} */ method, /** @type {string} */ path) => inTurn(place, control, () => send(place, page, method, path));
  const [method, path] = [select("resource-method"), input("resource-path")];
  for (const ready of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("button[data-method]"))) {
    ready.addEventListener("click", () => {
      // Fills in the form, so that users can change the call and repeat it.
      method.value = ready.dataset.method ?? "GET";
      path.value = ready.dataset.path ?? "/resource/whoami";
      fieldError(path, "");
      run(ready, method.value, path.value);
    });
  }
  path.addEventListener("input", () => fieldError(path, ""));
  const form = byId("resource-form");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wrong = path.value.startsWith("/resource") ? "" : "The path must begin with /resource.";
    fieldError(path, wrong);
    if (!wrong) return run(form, method.value, path.value);
    show(place, nothing());
    path.focus();
  });
  button("resource-call").disabled = false;
  return {
    call: run,
    clear() {
      byId("resource-status").textContent = "";
      fieldError(path, "");
      show(place, nothing());
    },
  };
}

const nothing = () => el("p", { class: "empty" }, "No call yet. Choose one above.");

/**
 * @param {HTMLElement} place
 * @param {Page} page
 * @param {string} method
 * @param {string} path
 */
async function send(place, { token, recheck, diagram }, method, path) {
  const asked = token();
  if (!asked) return;
  const status = byId("resource-status");
  status.textContent = `Calling ${method} ${path}…`;
  diagram.light("call-answer", "waiting", "");
  diagram.light("call-request", "going", "", `${method} ${path}`);
  try {
    const { result, timing } = await post("callResource", { token: asked, method, path });
    if (token() !== asked) return; // the token is no longer shown
    const good = result.status < 400;
    diagram.light("call-request", "done");
    diagram.light("call-answer", good ? "done" : "failed", `${result.status} · ${timing ? `${timing.ms.toFixed(1)} ms · ` : ""}${STATUS[result.status] ?? ""}`);
    status.textContent = "";
    showCall(place, result);
    if (result.status === 401) await recheck();
  } catch (error) {
    if (token() !== asked) return;
    diagram.light("call-request", "failed");
    status.textContent = "";
    const problem = showProblem(place, error, "Failed to call the API");
    if (problem.field === "path") fieldError(input("resource-path"), problem.words);
    if (problem.code === "sign_in_needed") await recheck();
  }
}

/**
 * @param {Element} place
 * @param {Call} call
 */
function showCall(place, { request, status, headers, body, decision }) {
  const title = el("h3", { class: "answer-title" }, mark(status < 400), el("span", { class: "status-word", id: "call-status" }, `${status} ${STATUS[status] ?? ""}`));
  const sent = [`${request.method} ${asSent(request.url)} HTTP/1.1\n`, lines(request.headers), request.body ? `\n${request.body}` : ""];
  const got = [`HTTP/1.1 ${status} ${STATUS[status] ?? ""}\n`, lines(headers), body ? `\n${pretty(body)}` : ""];
  show(
    place,
    title,
    ruled(decision, status),
    refusal(status, headers, body, decision.reason),
    el("h4", {}, "Request"),
    codeBlock("call-request", sent, "the request", "Request"),
    el("h4", {}, "Response"),
    codeBlock("call-answer", got, "the response", "Response"),
  );
  focusOn(title);
}

/**
 * Shows which rule decided.
 * @param {Call["decision"]} decision
 * @param {number} status
 */
function ruled({ allowed, scope, rule, reason }, status) {
  const after = allowed && status === 405 ? ". The API does not support this method." : allowed && status === 404 ? ". The API has nothing at this path." : "";
  return el(
    "div",
    { class: allowed ? "note good decision" : "note bad decision", id: "decision", "data-allowed": String(allowed) },
    el("p", {}, mark(allowed), el("strong", {}, allowed ? "Allowed by the guard" : "Refused by the guard"), scope && rule ? el("span", {}, "by scope ", el("code", {}, scope), ", rule ", el("code", { class: "wrapped" }, rule), ` (${inWords(rule)})`) : null),
    el("p", { class: "small" }, reason, after),
  );
}

/**
 * Describes a rule, `METHOD[,METHOD] PATTERN`, in words.
 * @param {string} rule
 */
function inWords(rule) {
  const [methods, pattern] = [rule.slice(0, rule.indexOf(" ")), rule.slice(rule.indexOf(" ") + 1)];
  const below = /^([\w/-]+)\(\/\.\*\)\?$/.exec(pattern)?.[1];
  const paths = pattern === ".*" ? "any path" : below ? `${below} and everything below it` : /^[\w/-]+$/.test(pattern) ? `only ${pattern}` : "paths that match the pattern";
  return `${methods === "*" ? "any method" : methods.replaceAll(",", ", ")}, ${paths}`;
}

/**
 * Explains a refusal, if the response has an OAuth error code.
 * @param {number} status
 * @param {Record<string, string>} headers
 * @param {string} body
 * @param {string} reason the guard's reason
 */
function refusal(status, headers, body, reason) {
  const challenge = Object.entries(headers).find(([name]) => name.toLowerCase() === "www-authenticate")?.[1] ?? "";
  const code = /error="([a-z_]+)"/.exec(challenge)?.[1] ?? (status === 401 || status === 403 ? /"error":\s*"([a-z_]+)"/.exec(body)?.[1] : undefined);
  if (!code) return null;
  // The guard only uses this code for ambiguous paths.
  const known = code === "invalid_request" ? AMBIGUOUS : code === "invalid_token" && reason.endsWith("wrong audience") ? FOREIGN : undefined;
  const { means, change } = known ?? explainCode(code);
  return el("dl", { class: "facts" }, el("dt", {}, el("code", {}, code)), el("dd", {}, means), el("dt", {}, "How to fix it"), el("dd", {}, change));
}

/**
 * Returns the target as it is sent. Parsing it as a URL would resolve `/../` and show a different request.
 * @param {string} url
 */
const asSent = (url) => url.slice(new URL(url).origin.length);

/** @param {Record<string, string>} headers */
const lines = (headers) => Object.entries(headers).map(([name, value]) => `${name}: ${value}\n`).join("");

/** @param {string} body */
function pretty(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}

// The request before it is sent, as HTTP, as curl, and as the guide's payload.

import { copyButton, el, show } from "./dom.js";
import { explainRequest } from "./explain.js";

/** @typedef {{ method: string, url: string, headers: Record<string, string>, body: string, curl: string }} Request */

const EMPTY = ["No request yet. ", "Build Token URL", " shows exactly what Submit will send."];

/** @param {Element} place */
export function clearPreview(place) {
  show(place, el("p", { class: "empty" }, EMPTY[0], el("strong", {}, EMPTY[1]), EMPTY[2]));
}

/**
 * @param {Element} place
 * @param {{ apiEndPoint: string, payload: Record<string, string>, request: Request }} preview
 */
export function showPreview(place, { apiEndPoint, payload, request }) {
  const http = httpLines(request);
  show(
    place,
    el("div", { class: "endpoint" }, el("span", { class: "label", id: "endpoint-label" }, "Token endpoint"), el("code", { class: "wrapped", id: "endpoint" }, apiEndPoint), copyButton("the token endpoint", () => apiEndPoint)),
    tabs([
      ["http", "HTTP", codeBlock("preview-http", http, "the HTTP request", "HTTP request")],
      ["curl", "curl", el("div", {}, codeBlock("preview-curl", [request.curl], "the curl line", "curl line"), el("p", { class: "hint" }, ...curlHint(request.curl)))],
      ["payload", "Payload", payloadTable(payload)],
    ]),
    lineByLine(request),
  );
}

/**
 * @param {Request} request
 * @returns {(string | Node)[]}
 */
function httpLines({ method, url, headers, body }) {
  const { host, pathname, search } = new URL(url);
  const lines = [el("span", { class: "tok-verb" }, method), ` ${pathname}${search} HTTP/1.1\n`, ...headerLine("host", host)];
  for (const [name, value] of Object.entries(headers)) lines.push(...headerLine(name, value));
  return [...lines, "\n", body];
}

/**
 * @param {string} name
 * @param {string} value
 * @returns {(string | Node)[]}
 */
function headerLine(name, value) {
  const shown = name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
  return [el("span", { class: "tok-name" }, shown), `: ${value}\n`];
}

/** @param {string} curl */
function curlHint(curl) {
  const names = curl.includes("$PASSWORD") ? ["$CLIENT_SECRET", "$PASSWORD"] : ["$CLIENT_SECRET"];
  return [...names.flatMap((name, index) => [index > 0 ? " and " : "", el("code", {}, name)]), names.length > 1 ? " are shell variables. Set them first, so that the command contains no secrets." : " is a shell variable. Set it first, so that the command contains no secret."];
}

/**
 * Creates a block of code with a copy button.
 * @param {string} id
 * @param {(string | Node)[]} content
 * @param {string} what
 * @param {string} label
 */
export function codeBlock(id, content, what, label) {
  const code = el("pre", { class: "code wrapped", id, tabindex: "0", role: "group", "aria-label": label }, ...content);
  return el("div", { class: "code-block" }, code, copyButton(what, () => code.textContent ?? ""));
}

/** @param {Record<string, string>} payload */
function payloadTable(payload) {
  const rows = Object.entries(payload).map(([name, value]) => el("div", { class: "row" }, el("dt", {}, el("code", {}, name)), el("dd", { class: "value mono wrapped" }, value)));
  const hint = el("p", { class: "hint" }, "These are the guide's names. The HTTP tab shows how they are sent, as form fields and an Authorization header.");
  const list = el("dl", { class: "pairs", id: "preview-payload" }, ...rows);
  return el("div", {}, el("div", { class: "scrolled", tabindex: "0", role: "group", "aria-label": "Payload" }, list), hint);
}

/** @param {Request} request */
function lineByLine({ headers, body }) {
  const names = [...Object.keys(headers), ...new URLSearchParams(body).keys()].filter(explainRequest);
  return el(
    "details",
    { class: "more" },
    el("summary", {}, "What each line means"),
    el("dl", { class: "facts" }, ...names.flatMap((name) => [el("dt", {}, el("code", {}, name)), el("dd", {}, explainRequest(name))])),
  );
}

/**
 * Creates tabs (ARIA pattern). Arrow keys switch tabs. The panels have the same size, so that nothing moves.
 * @param {[string, string, HTMLElement][]} parts ID, title, content
 */
function tabs(parts) {
  const heads = parts.map(([id, words]) => el("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": `panel-${id}` }, words));
  const panels = parts.map(([id, , content]) => el("div", { role: "tabpanel", id: `panel-${id}`, "aria-labelledby": `tab-${id}` }, content));
  const open = (/** @type {number} */ chosen) => {
    heads.forEach((head, index) => {
      head.setAttribute("aria-selected", String(index === chosen));
      head.tabIndex = index === chosen ? 0 : -1;
      panels[index].classList.toggle("closed", index !== chosen);
    });
  };
  heads.forEach((head, index) => {
    head.addEventListener("click", () => open(index));
    head.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -index, End: heads.length - 1 - index }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const next = (index + step + heads.length) % heads.length;
      open(next);
      heads[next].focus();
    });
  });
  open(0);
  return el("div", { class: "tabs" }, el("div", { role: "tablist", "aria-label": "The request as" }, ...heads), el("div", { class: "panels" }, ...panels));
}

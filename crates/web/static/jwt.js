// The three parts of an encoded token.

import { el, show } from "./dom.js";
import { explainJose } from "./explain.js";
import { pair } from "./result.js";

const PARTS = /** @type {[string, string][]} */ ([
  ["header", "how it is signed"],
  ["payload", "the claims, which anyone with the token can read"],
  ["signature", "proves that the issuer created both, and that nobody changed them"],
]);

/**
 * @param {Element} place
 * @param {string} token
 */
export function showJwt(place, token) {
  const parts = token.split(".");
  if (parts.length !== 3) return show(place, el("p", { class: "empty" }, "This token is opaque. Only its issuer can read it. Introspect it instead."));
  const raw = parts.flatMap((part, index) => [index > 0 && ".", el("span", { class: `part-${PARTS[index][0]}` }, part)]);
  show(
    place,
    el("div", { class: "token-box jwt mono", tabindex: "0", role: "group", "aria-label": "The raw JWT" }, ...raw),
    el("ul", { class: "legend" }, ...PARTS.map(([name, words], index) => el("li", {}, el("span", { class: `swatch part-${name}`, "aria-hidden": "true" }, String(index + 1)), el("span", {}, el("strong", {}, name), el("span", { class: "muted" }, ` ${words}, ${parts[index].length} characters`))))),
    el("h3", {}, "The header, decoded"),
    el("dl", { class: "pairs" }, ...Object.entries(decode(parts[0])).map(([name, value]) => pair(name, [el("span", { class: "mono wrapped" }, String(value))], explainJose(name)))),
  );
}

/**
 * Returns when a token expires according to its claims, or undefined if it is opaque.
 * @param {string} token
 * @returns {number | undefined}
 */
export function findExpiry(token) {
  const { exp } = decode(token.split(".")[1] ?? "");
  return typeof exp === "number" ? exp : undefined;
}

/**
 * Decodes the JSON of a part: base64url without padding (RFC 7515 §2), in UTF-8.
 * @param {string} part
 * @returns {Record<string, unknown>}
 */
function decode(part) {
  try {
    const bytes = Uint8Array.from(atob(part.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}

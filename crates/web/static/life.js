// Introspect, refresh and revoke a token.

import { post, Problem } from "./api.js";
import { button, byId, el, focusOn, inTurn, once, show } from "./dom.js";
import { findExpiry } from "./jwt.js";
import { showProblem } from "./problem.js";
import { mark, showClaims } from "./result.js";
import { now } from "./time.js";

/** @typedef {import("./api.js").Answer} Answer */

/**
 * @param {{
 *   held: () => Record<string, any> | null,
 *   replace: (set: Record<string, any>, from: string) => Promise<void>,
 *   check: (how?: { again?: boolean }) => Promise<void>,
 *   callAgain: () => Promise<void>,
 *   diagram: import("./diagram.js").Diagram,
 * }} page
 */
export function startLife({ held, replace, check, callAgain, diagram }) {
  const place = byId("life-result");

  /**
   * Makes a call to the server, and shows it in the diagram.
   * @param {string} word the last segment of the path
   * @param {string} path below `/api/`
   * @param {() => object} body evaluated when the call starts
   * @param {[string, string?]} failure the heading of a failure, and of a missing response
   * @param {(answer: Answer) => Promise<void> | void} then
   */
  const exchange = async (word, path, body, failure, then) => {
    if (!held()) return; // the token is gone since the call was queued
    byId("life-status").textContent = "Sending…";
    diagram.light("life-answer", "waiting", "");
    diagram.light("life-request", "going", "", `POST /oauth2/${word}`);
    const asked = held();
    try {
      const answer = await post(path, body());
      if (held() !== asked) return; // the token is no longer shown
      diagram.answered("life", answer.timing);
      byId("life-status").textContent = "";
      await then(answer);
    } catch (error) {
      if (held() !== asked) return;
      if (error instanceof Problem) diagram.answered("life", error.timing, error.code);
      byId("life-status").textContent = "";
      const problem = showProblem(place, error, ...failure);
      if (problem.code === "sign_in_needed") await check({ again: true });
    }
  };

  const introspect = () =>
    exchange("introspect", "introspect", () => ({ token: held()?.access_token }), ["Not introspected"], async ({ result }) => {
      showIntrospection(place, result);
      if (result.active !== true) await check({ again: true });
    });
  const refresh = () =>
    exchange("token", "refreshToken", () => ({ refresh_token: held()?.refresh_token }), ["Not refreshed", "No response; a token set may have been issued, and the refresh token used"], async ({ result }) => {
      await replace(result, "from a refresh");
      if (held() !== result) return;
      show(place);
      byId("life-status").textContent = "✓ Refreshed. The token set above is new, and the old refresh token is used up.";
      focusOn(byId("token-title"));
    });
  const revoke = () =>
    exchange("revoke", "revokeToken", () => ({ token: held()?.access_token }), ["Not revoked", "No response; the token may be revoked"], async () => {
      const revoked = held();
      await check();
      if (held() !== revoked) return;
      if (now() >= (findExpiry(revoked?.access_token) ?? Infinity)) return showLate(place);
      showRevoked(place, callAgain, Boolean(revoked?.refresh_token));
    });

  button("introspect").addEventListener("click", () => inTurn(place, button("introspect"), introspect));
  button("refresh").addEventListener("click", () => inTurn(place, button("refresh"), refresh));
  button("revoke").addEventListener("click", () => inTurn(place, button("revoke"), revoke));
  return {
    clear() {
      const canRefresh = Boolean(held()?.refresh_token);
      button("refresh").hidden = !canRefresh;
      byId("refresh-note").textContent = canRefresh ? "Refresh uses up the refresh token and returns a new token set." : "This token set has no refresh_token. Client Creds never returns one (RFC 6749 §4.4.3). The client simply requests a new token.";
      byId("life-status").textContent = "";
      show(place, el("p", { class: "empty" }, "No request yet."));
    },
  };
}

/**
 * @param {Element} place
 * @param {Record<string, any>} result
 */
function showIntrospection(place, result) {
  const active = result.active === true;
  const title = el("h3", { class: "answer-title" }, mark(active), el("span", {}, active ? "Active" : "Not active"));
  const words = active ? "The token is active. The response contains its metadata (RFC 7662)." : "The token is expired, revoked, unknown, or the client may not introspect it. The response does not say which (RFC 7662 §2.2).";
  const members = el("div", { id: "introspection" });
  showClaims(members, result);
  show(place, title, el("p", { class: "muted" }, words), members);
  focusOn(title);
}

/** @param {Element} place */
function showLate(place) {
  const title = el("h3", { class: "answer-title" }, mark(true), el("span", {}, "Already expired"));
  show(place, title, el("p", {}, "The token had already expired. The endpoint still returns 200, because the token is no longer valid (RFC 7009 §2.2)."));
  focusOn(title);
}

/**
 * @param {Element} place
 * @param {() => Promise<void>} callAgain
 * @param {boolean} canRefresh
 */
function showRevoked(place, callAgain, canRefresh) {
  const title = el("h3", { class: "answer-title" }, mark(true), el("span", {}, "Revoked"));
  const again = el("button", { type: "button", class: "button", id: "call-again" }, "Call again");
  again.addEventListener("click", () => once(again, callAgain));
  show(place, title, el("p", {}, "The token is no longer valid. Within a second, every API that checks for revocation refuses it. Call the API again to check."), canRefresh ? el("p", {}, "The refresh token was not revoked with it. Refresh still returns a new token set, unless the family was revoked. Revoking the refresh token revokes the whole family.") : null, el("p", { class: "actions" }, again));
  focusOn(title);
}

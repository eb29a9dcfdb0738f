// What every page does: sign-out, and the copy buttons that the server drew.

import { post, Problem } from "./api.js";
import { byId, copy, once } from "./dom.js";
import { showProblem } from "./problem.js";

/**
 * Ends the session and goes home; a failure is shown in `place`.
 * @param {HTMLElement} control
 * @param {Element} place
 * @param {() => void} [before] called once the session has ended
 */
export function leave(control, place, before) {
  return once(control, async () => {
    try {
      const home = await post("auth/out").then(() => "/?signed-out", unlessEnded);
      before?.();
      location.assign(home);
    } catch (error) {
      showProblem(place, error, "You are still signed in");
    }
  });
}

/** A session that has ended by itself leaves nothing to do, and nothing was revoked now. @param {unknown} error */
function unlessEnded(error) {
  if (!(error instanceof Problem) || error.code !== "sign_in_needed") throw error;
  return "/";
}

// What the address said has been read: a reload or a bookmark is not to say it again.
if (location.search === "?signed-out") history.replaceState(null, "", "/");

const signOut = document.getElementById("sign-out");
signOut?.addEventListener("click", () => leave(signOut, byId("shell-problem")));

for (const made of document.querySelectorAll("button[data-copy]")) {
  made.addEventListener("click", () => {
    const from = byId(made.getAttribute("data-copy") ?? "");
    copy(/** @type {HTMLButtonElement} */ (made), from.textContent ?? "");
  });
}

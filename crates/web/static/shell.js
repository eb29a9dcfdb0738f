// The script of every page: sign-out, and the copy buttons in templates.

import { post, Problem } from "./api.js";
import { byId, copy, once } from "./dom.js";
import { showProblem } from "./problem.js";

/**
 * Signs out and opens the home page. Shows a failure in `place`.
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

/** If the session has already ended, there is nothing to do, and nothing was revoked now. @param {unknown} error */
function unlessEnded(error) {
  if (!(error instanceof Problem) || error.code !== "sign_in_needed") throw error;
  return "/";
}

// Removes the query, so that a reload or a bookmark does not show the message again.
if (location.search === "?signed-out") history.replaceState(null, "", "/");

const signOut = document.getElementById("sign-out");
signOut?.addEventListener("click", () => leave(signOut, byId("shell-problem")));

for (const made of document.querySelectorAll("button[data-copy]")) {
  made.addEventListener("click", () => {
    const from = byId(made.getAttribute("data-copy") ?? "");
    copy(/** @type {HTMLButtonElement} */ (made), from.textContent ?? "");
  });
}

// Every refusal is explained, next to its cause.

import assert from "node:assert/strict";
import { walk } from "../harness.mjs";
import { answerSignIn, at, build, button, chooseScopes, getToken, openFlow, region, seen, signIn, submit, typeOwner, until } from "../steps.mjs";

walk("a wrong password is reported next to its field, and the correct one then works", { refused: ["401 /api/auth/advanceAuth"] }, async ({ page, demo }) => {
  await page.goto("/login");
  await answerSignIn(page, demo.username, ["Password", "not the password"]);
  await seen(page.getByText("Wrong username or password."));
  const field = page.getByLabel("Password", { exact: true });
  assert.equal(await field.getAttribute("aria-invalid"), "true");
  assert.equal(await field.inputValue(), "");
  await field.fill(demo.password);
  await button(page, "Next").click();
  await at(page, "/protocols");
});

walk("an unknown user gets the same challenge and refusal as a known one", { refused: ["401 /api/auth/advanceAuth"] }, async ({ page }) => {
  await page.goto("/login");
  await answerSignIn(page, "nobody", ["Password", "not the password"]);
  await seen(page.getByText("Wrong username or password."));
  await button(page, "Start over").click();
  await seen(page.getByText("Started over."));
  assert.ok(await page.getByLabel("Username").isEditable());
  assert.equal(await page.getByLabel("Password", { exact: true }).isVisible(), false);
});

walk("an invalid user name is reported next to its field", { refused: ["400 /api/auth/beginAuth"] }, async ({ page }) => {
  await page.goto("/login");
  await page.getByLabel("Username").fill("a".repeat(150));
  await button(page, "Next").click();
  await seen(page.getByText("✗ Username must be 1 to 100 bytes of printable characters"));
});

walk("empty sign-in fields are reported, and no request is made", async ({ page }) => {
  await page.goto("/login");
  await button(page, "Next").click();
  await seen(page.getByText("Enter your username."));
  await answerSignIn(page, "nobody");
  await seen(page.getByLabel("Password", { exact: true }));
  await button(page, "Next").click();
  await seen(page.getByText("Enter your password."));
});

walk("a click before the scripts have loaded does nothing, and works afterwards", async ({ page, demo }) => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await page.route("**/login.js", async (route) => {
    await held;
    await route.continue();
  });
  await page.goto("/login", { waitUntil: "commit" });
  await page.getByLabel("Username").fill(demo.username);
  await page.keyboard.press("Enter");
  await button(page, "Next").click({ force: true });
  release();
  await answerSignIn(page, demo.username, ["Password", demo.password]);
  await at(page, "/protocols");
});

walk("a wrong resource owner password is explained", { refused: ["400 /api/tokenSet"] }, async ({ page, demo }) => {
  await openFlow(page, demo, "Resource Owner");
  await typeOwner(page, demo.username, "not the password");
  await build(page);
  await button(page, "Submit").click();
  await explained(page, "invalid_grant", "The credentials are invalid");
  await seen(page.getByText("Wrong name or password."));
  assert.ok(await button(page, "Submit").isDisabled());
});

walk("a scope that the API does not have is reported next to the scopes", { refused: ["400 /api/tokenSet"] }, async ({ page, demo }) => {
  await openFlow(page, demo);
  await page.getByRole("checkbox", { name: "reports:read" }).evaluate((chip) => (chip.value = "reports:burn"));
  await chooseScopes(page, ["reports:burn"]);
  await build(page);
  await button(page, "Submit").click();
  await explained(page, "invalid_scope", "unknown to this API");
  assert.match(await page.getByRole("form").locator("p", { hasText: "✗" }).first().innerText(), /reports:burn/);
});

walk("with no scope selected, the API's default is granted", async ({ page, demo }) => {
  await openFlow(page, demo);
  await chooseScopes(page, []);
  await build(page);
  const http = await page.getByRole("group", { name: "HTTP request" }).innerText();
  assert.ok(!http.includes("scope="), http);
  await submit(page);
  await seen(region(page, "Token set").getByText("all", { exact: true }));
});

walk("an unreachable server is reported, and the next try works", { broken: ["/api/tokenSet", "/api/tokenRequestPreview"] }, async ({ page, demo }) => {
  await openFlow(page, demo);
  await build(page);
  await page.route("**/api/tokenSet", (route) => route.abort(), { times: 1 });
  await button(page, "Submit").click();
  await explained(page, "network", "There was no response.");
  await seen(page.getByText("The server is unreachable."));
  await seen(page.getByText("a token may have been issued"));
  await submit(page);
  await page.route("**/api/tokenRequestPreview", (route) => route.abort(), { times: 1 });
  await button(page, "Build Token URL").click();
  await seen(page.getByText("Failed to build the request"));
  assert.equal(await page.getByText("may have been issued").count(), 0, "no token was requested");
});

walk("an overloaded server says when to try again", { refused: ["503 /api/tokenSet"] }, async ({ page, demo }) => {
  await openFlow(page, demo);
  await build(page);
  const body = JSON.stringify({ Success: false, Result: null, ErrorMessage: "too much to do", ErrorCode: "temporarily_unavailable" });
  const answer = { status: 503, contentType: "application/json", headers: { "retry-after": "7" }, body };
  await page.route("**/api/tokenSet", (route) => route.fulfill(answer), { times: 1 });
  await button(page, "Submit").click();
  await explained(page, "temporarily_unavailable", "The server is overloaded");
  await seen(page.getByText("Try again in 7 seconds."));
});

walk("a session that ended in another tab is reported, and the sign-in leads back", async ({ page, context, demo }) => {
  await openFlow(page, demo);
  const other = await context.newPage();
  await other.goto("/protocols");
  await button(other, "Sign out").click();
  await at(other, "/");
  await button(page, "Build Token URL").click();
  await explained(page, "sign_in_needed", "Your session has ended");
  await page.getByRole("link", { name: "Sign in again" }).click();
  await at(page, "/login");
  await answerSignIn(page, demo.username, ["Password", demo.password]);
  await at(page, "/m2m");
});

walk("a token that ended with the session in another tab is checked again when its tab is shown", async ({ page, context, demo }) => {
  await getToken(page, demo);
  await seen(page.getByText("All checks passed"));
  const other = await context.newPage();
  await other.goto("/protocols");
  await seen(other.getByTitle(`Signed in as ${demo.username}`));
  await button(other, "Sign out").click();
  await at(other, "/");
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await seen(page.getByText("Failed to check the token"));
  assert.equal(await page.getByText("All checks passed").isVisible(), false);
});

walk("a failed check can be repeated", { broken: ["/api/claims"] }, async ({ page, demo }) => {
  await openFlow(page, demo);
  await build(page);
  await page.route("**/api/claims", (route) => route.abort(), { times: 1 });
  await submit(page);
  await seen(page.getByText("Failed to check the token"));
  await button(page, "Check again").click();
  await seen(page.getByText("All checks passed"));
});

walk("after a failed sign-out, the page says that the user is still signed in", { broken: ["/api/auth/out"] }, async ({ page, demo }) => {
  await signIn(page, demo, "/m2m");
  await page.route("**/api/auth/out", (route) => route.abort(), { times: 1 });
  await button(page, "Try Another Flow").click();
  await seen(page.getByText("You are still signed in"));
  await page.route("**/api/auth/out", (route) => route.abort(), { times: 1 });
  await button(page, "Sign out").click();
  await until("both places say so", async () => (await page.getByText("You are still signed in").count()) === 2);
});

walk("an unknown URL shows a page with a link back", { refused: ["404 /nothing"] }, async ({ page }) => {
  await page.goto("/nothing");
  await seen(page.getByRole("heading", { level: 1 }));
  assert.ok((await page.getByRole("main").getByRole("link").count()) > 0);
});

/** The box of a failure: the code, what it means, and what to change. */
async function explained(page, code, means) {
  const box = page.getByRole("group").filter({ has: page.getByText(code, { exact: true }) }).last();
  await seen(box);
  const words = await box.innerText();
  assert.ok(words.includes(means), words);
  assert.match(words, /What it means[\s\S]*How to fix it/);
}

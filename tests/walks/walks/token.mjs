// Using a token: the API's guard, introspection, and revocation.

import assert from "node:assert/strict";
import { walk } from "../harness.mjs";
import { at, button, callApi, chooseScopes, getToken, openFlow, build, region, seen, signIn, submit, typeOwner, until, valueOf, verdicts } from "../steps.mjs";

walk("a scope allows its path, and the guard names the rule that refuses another", async ({ page, demo }) => {
  await getToken(page, demo, ["reports:read"]);
  const allowed = await callApi(page, "GET", "/resource/reports");
  assert.match(allowed.title, /200 OK/);
  assert.match(allowed.words, /Allowed by the guard\s+by scope reports:read, rule GET \/resource\/reports\S* \(GET, \/resource\/reports and everything below it\)/);
  const refused = await callApi(page, "GET", "/resource/whoami");
  assert.match(refused.title, /403 Forbidden/);
  assert.match(refused.words, /Refused by the guard/);
  assert.match(refused.words, /insufficient_scope/);
  const method = await callApi(page, "POST", "/resource/reports");
  assert.match(method.title, /403 Forbidden/, "a read scope does not allow writing");
});

walk("a token that was revoked elsewhere is shown as invalid as soon as a response says so", async ({ page, demo, context }) => {
  for (const ask of [() => callApi(page, "GET", "/resource/whoami"), () => button(page, "Introspect").click()]) {
    await getToken(page, demo);
    assert.equal((await verdicts(page)).hold, 5);
    await endElsewhere(context, await valueOf(region(page, "Token set"), "access_token"));
    await ask();
    await until("the verdict says so", async () => (await verdicts(page)).hold === 4);
    await seen(region(page, "Token set").getByText("revoked", { exact: true }));
    await button(page, "Try Another Flow").click();
    await at(page, "/");
  }
});

/** As another tab, or a shell, would. */
async function endElsewhere(context, token) {
  const pair = (await context.cookies()).find(({ name }) => name === "XSRF-TOKEN").value;
  const answer = await context.request.post("/api/revokeToken", { data: { token }, headers: { "x-xsrf-token": pair } });
  assert.equal(answer.status(), 200);
}

walk("a page does not act for a user who signed in in another tab", async ({ page, demo, context }) => {
  await openFlow(page, demo);
  const other = await context.newPage();
  await other.goto("/protocols");
  await button(other, "Sign out").click();
  await at(other, "/");
  await signIn(other, demo);
  await button(page, "Build Token URL").click();
  await seen(page.getByText("You signed out, or signed in again, in another tab"));
  await page.getByRole("link", { name: "Sign in again" }).click();
  await at(page, "/m2m");
  await build(page);
});

walk("a method that the API does not support returns 405", async ({ page, demo }) => {
  await getToken(page, demo);
  const answer = await callApi(page, "DELETE", "/resource/reports");
  assert.match(answer.title, /405 Method Not Allowed/);
  assert.match(answer.words, /Allowed by the guard/);
  assert.match(answer.words, /The API does not support this method/);
  const nothing = await callApi(page, "GET", "/resource/nothing");
  assert.match((await callApi(page, "GET", "/resource/")).words, /Allowed by the guard[\s\S]*404/);
  assert.match(nothing.title, /404 Not Found/);
});

walk("the predefined calls have the described results", async ({ page, demo }) => {
  await getToken(page, demo);
  const place = region(page, "Call an API");
  for (const [method, path, status] of [["GET", "/resource/whoami", "200 OK"], ["GET", "/resource/reports", "200 OK"], ["POST", "/resource/reports", "201 Created"], ["DELETE", "/resource/reports", "405 Method Not Allowed"]]) {
    await page.getByRole("button", { name: `${method} ${path}` }).click();
    await seen(place.getByRole("group", { name: "Request" }).filter({ hasText: `${method} ${path} HTTP` }));
    await seen(place.getByRole("heading", { level: 3 }).filter({ hasText: status }));
    await seen(place.getByText("by scope all, rule * .* (any method, any path)"));
    assert.deepEqual([await place.getByLabel("Method").inputValue(), await place.getByLabel("Path").inputValue()], [method, path]);
  }
});

walk("the narrow scope allows one of the predefined calls", async ({ page, demo }) => {
  await getToken(page, demo, ["reports:read"]);
  const place = region(page, "Call an API");
  await place.getByRole("button", { name: "GET /resource/reports Needs reports:read or all." }).click();
  await seen(place.getByRole("heading", { name: "200 OK" }));
});

walk("a path outside the resources is refused next to its field, an ambiguous one by the guard", async ({ page, demo }) => {
  await getToken(page, demo);
  await callApi(page, "GET", "/resource/whoami");
  const place = region(page, "Call an API with this token");
  await place.getByLabel("Path").fill("/admin");
  await button(place, "Call").click();
  await seen(place.getByText("The path must begin with /resource."));
  assert.equal(await place.getByRole("heading", { level: 3 }).count(), 0, "the response to the previous call is gone");
  const above = await callApi(page, "GET", "/resource/../oauth2/token");
  assert.match(above.title, /400 Bad Request/);
  assert.match(above.words, /Refused by the guard[\s\S]*ambiguous/);
  assert.match(above.words, /Send the path in normalized form/);
  const broken = await callApi(page, "GET", "/resource/%zz");
  assert.match(broken.words, /Send the path in normalized form/);
  assert.ok(!broken.words.includes("Application ID"), "no explanation for the token endpoint");
  assert.match(above.words, /GET \/resource\/\.\.\/oauth2\/token HTTP/, "the page shows the request that was sent");
});

walk("a revoked token is refused by the API within a second, and introspection reports it as inactive", async ({ page, demo }) => {
  await getToken(page, demo);
  assert.match((await callApi(page, "GET", "/resource/whoami")).title, /200/);
  await button(page, "Introspect").click();
  const life = region(page, "Introspect, refresh, revoke");
  await seen(life.getByRole("heading", { name: "Active", exact: true }));
  assert.equal(await valueOf(life, "client_id"), demo.client_id);
  await button(page, "Revoke").click();
  await seen(life.getByRole("heading", { name: "Revoked" }));
  const since = Date.now();
  await until("the API refuses", async () => /401/.test((await callApi(page, "GET", "/resource/whoami")).title), 1_000);
  assert.ok(Date.now() - since < 1_000);
  const { words } = await callApi(page, "GET", "/resource/whoami");
  assert.match(words, /invalid_token/);
  await button(life, "Call again").click();
  await seen(region(page, "Call an API").getByRole("heading", { name: "401" }));
  const { hold, all } = await verdicts(page);
  assert.equal(hold, all - 1, "only the revocation check fails");
  await seen(page.getByText("1 of 5 checks failed"));
  await button(page, "Introspect").click();
  await seen(life.getByRole("heading", { name: "Not active" }));
});

/** Holds the next request to `path` until the returned function is called. */
async function hold(page, path) {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await page.route(path, async (route) => (await held, route.continue()), { times: 1 });
  return release;
}

walk("a click on Revoke during another request waits for it", async ({ page, demo }) => {
  await getToken(page, demo);
  const life = region(page, "Introspect, refresh, revoke");
  const release = await hold(page, "**/api/introspect");
  await button(page, "Introspect").click();
  await button(page, "Revoke").click();
  release();
  await seen(life.getByRole("heading", { name: "Revoked" }));
  assert.match((await callApi(page, "GET", "/resource/whoami")).title, /401/);
});

walk("a response for an older token is not shown next to the new one", async ({ page, demo }) => {
  await getToken(page, demo);
  const release = await hold(page, "**/api/callResource");
  await page.getByRole("button", { name: "GET /resource/whoami" }).click();
  await chooseScopes(page, ["reports:read"]);
  await build(page);
  await submit(page);
  const answered = page.waitForResponse("**/api/callResource");
  release();
  await answered;
  await page.waitForTimeout(200);
  await seen(region(page, "Call an API").getByText("No call yet."));
  assert.match((await callApi(page, "GET", "/resource/whoami")).title, /403/);
});

walk("after revoking an access token, the page says that the refresh token is still valid", async ({ page, demo }) => {
  await openFlow(page, demo, "Resource Owner");
  await typeOwner(page, demo.username, demo.password);
  await build(page);
  await submit(page);
  await button(page, "Revoke").click();
  await seen(page.getByText("The refresh token was not revoked with it"));
  await button(page, "Refresh").click();
  await seen(page.getByText("Refreshed. The token set above is new"));
  assert.match((await callApi(page, "GET", "/resource/whoami")).title, /200/);
});

walk("a tab that is shown again keeps its content, and a late response for an older token is not shown", async ({ page, demo }) => {
  const lookAgain = () => page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await openFlow(page, demo, "Resource Owner");
  await typeOwner(page, demo.username, demo.password);
  await build(page);
  await submit(page);
  await seen(page.getByText("All checks passed"));
  const explain = button(page, "Explain iss").first();
  await explain.click();
  const checked = page.waitForResponse("**/api/claims");
  await lookAgain();
  await checked;
  assert.equal(await explain.getAttribute("aria-expanded"), "true");
  const release = await hold(page, "**/api/claims");
  await lookAgain();
  await button(page, "Revoke").click();
  await seen(page.getByText("1 of 5 checks failed"));
  const late = page.waitForResponse("**/api/claims");
  release();
  await late;
  await page.waitForTimeout(200);
  await seen(page.getByText("1 of 5 checks failed"));
});

walk("reusing a spent refresh token ends its family, and the page explains it", { refused: ["400 /api/refreshToken"] }, async ({ page, demo }) => {
  await openFlow(page, demo, "Resource Owner");
  await typeOwner(page, demo.username, demo.password);
  await build(page);
  await submit(page);
  const spent = await valueOf(region(page, "Token set"), "refresh_token");
  await button(page, "Refresh").click();
  await seen(page.getByText("Refreshed. The token set above is new"));
  assert.equal(await page.getByText("No request yet.").isVisible(), false);
  await button(page, "Refresh").click();
  await seen(page.getByText("Refreshed. The token set above is new"));
  // Someone reuses the first one, so the server ends the whole family.
  await page.route("**/api/refreshToken", (route) => route.continue({ postData: JSON.stringify({ refresh_token: spent }) }), { times: 1 });
  await button(page, "Refresh").click();
  await seen(region(page, "Introspect, refresh, revoke").getByText("invalid_grant"));
  await seen(page.getByText("A used refresh token works again only for a short time"));
  const picture = await page.getByRole("listitem").filter({ hasText: "Countersign to Client: response." }).innerText();
  assert.match(picture, /failed, 400 invalid_grant · [\d.]+ ms/, "the diagram shows the response too");
  assert.match((await callApi(page, "GET", "/resource/whoami")).title, /401/);
});

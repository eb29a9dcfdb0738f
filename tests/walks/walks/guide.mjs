// The guide's two walks, click by click.

import assert from "node:assert/strict";
import { walk } from "../harness.mjs";
import { answerSignIn, at, build, button, region, seen, submit, typeOwner, valueOf, verdicts } from "../steps.mjs";

const MEMBERS = ["access_token", "token_type", "expires_in", "scope"];
const CLAIMS = ["iss", "sub", "aud", "exp", "iat", "scope", "auth_time", "unique_name"];

walk("client credentials, from the home page to Try Another Flow", async ({ page, demo }) => {
  await enter(page, demo);
  await page.getByLabel("Flow").selectOption({ label: "Client Creds" });
  await build(page);
  const request = await readRequest(page, demo);
  assert.match(request, /grant_type=client_credentials/);
  await submit(page);
  await readToken(page, MEMBERS);
  assert.equal(await valueOf(region(page, "Claims"), "unique_name"), demo.client_id);
  assert.equal(await button(page, "Refresh").count(), 0, "there is no refresh token");
  await tryAnother(page);
});

walk("resource owner, from the home page to Try Another Flow", async ({ page, demo }) => {
  await enter(page, demo);
  await page.getByLabel("Flow").selectOption({ label: "Resource Owner" });
  await seen(page.getByText("RFC 9700 §2.4: this grant must not be used."));
  await seen(page.getByText("authorization code flow with PKCE"));
  await typeOwner(page, demo.username, demo.password);
  await build(page);
  const request = await readRequest(page, demo);
  assert.match(request, /grant_type=password/);
  assert.ok(!request.includes(demo.password), "the password is masked");
  await submit(page);
  const owner = page.getByRole("group", { name: "Resource owner" });
  assert.equal(await owner.getByLabel("Password").inputValue(), "", "the password field is empty");
  await readToken(page, [...MEMBERS, "refresh_token"]);
  assert.equal(await valueOf(region(page, "Claims"), "unique_name"), demo.username);
  await refresh(page);
  await tryAnother(page);
});

/** From the home page to the heart of it. */
async function enter(page, demo) {
  await page.goto("/");
  await region(page, "Scenario 1").getByRole("link", { name: "Login", exact: true }).click();
  await at(page, "/login");
  await answerSignIn(page, demo.username, ["Password", demo.password]);
  await at(page, "/protocols");
  await seen(page.getByRole("heading", { name: "Login Protocols", level: 1 }));
  await region(page, "Machine To Machine").getByRole("link", { name: "Continue" }).click();
  await at(page, "/m2m");
  assert.deepEqual(await page.getByLabel("Flow").getByRole("option").allInnerTexts(), ["Client Creds", "Resource Owner"]);
}

/** The request as it is previewed: the whole of it is seen, and no secret in it. */
async function readRequest(page, demo) {
  const place = region(page, "The request");
  const endpoint = `${demo.issuer}/OAuth2/Token/${demo.api}`;
  await seen(place.getByText(endpoint, { exact: true }));
  const http = await place.getByRole("group", { name: "HTTP request" }).innerText();
  assert.ok(http.startsWith(`POST /OAuth2/Token/${demo.api} HTTP/1.1\n`), http);
  assert.match(http, /Authorization: Basic \*{8}\n/);
  await place.getByRole("tab", { name: "Payload" }).click();
  const panel = place.getByRole("tabpanel", { name: "Payload" });
  assert.equal(await valueOf(panel, "clientId"), demo.client_id);
  assert.equal(await valueOf(panel, "clientSecret"), "********");
  const whole = await place.textContent();
  assert.ok(!whole.includes(demo.client_secret), "the secret is masked");
  return http;
}

/** The token set, the claims and the verdicts. */
async function readToken(page, members) {
  const set = region(page, "Token set");
  for (const name of members) await seen(set.getByText(name, { exact: true }));
  assert.match(await valueOf(set, "access_token"), /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/);
  assert.equal(await valueOf(set, "token_type"), "Bearer");
  assert.match(await valueOf(set, "expires_in"), /^7200\b.*left$/s);
  assert.equal(await valueOf(set, "scope"), "all");
  for (const name of CLAIMS) await seen(region(page, "Claims").getByText(name, { exact: true }));
  const { all, hold, words } = await verdicts(page);
  assert.deepEqual([all, hold], [5, 5], words.join("\n"));
  await seen(page.getByText("All checks passed"));
}

/** A refresh gives another token set, and its token holds. */
async function refresh(page) {
  const set = region(page, "Token set");
  const before = await valueOf(set, "access_token");
  const spent = await valueOf(set, "refresh_token");
  await button(page, "Refresh").click();
  await seen(page.getByText("Refreshed. The token set above is new"));
  assert.notEqual(await valueOf(set, "access_token"), before);
  assert.notEqual(await valueOf(set, "refresh_token"), spent);
  assert.equal((await verdicts(page)).hold, 5);
}

/** Home, and signed out. */
async function tryAnother(page) {
  await button(page, "Try Another Flow").click();
  await at(page, "/");
  assert.equal(await button(page, "Sign out").count(), 0, "signed out");
  const words = page.getByText("You are signed out. The last 100 tokens requested in this session have been revoked.");
  await seen(words);
  await page.reload();
  assert.equal(await words.count(), 0, "the message is shown once");
  await page.goto("/m2m");
  await at(page, "/login");
}

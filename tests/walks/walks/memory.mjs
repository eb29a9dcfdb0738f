// Tokens and passwords are only in the page's memory. Going back and forward keeps nothing and breaks nothing.

import assert from "node:assert/strict";
import { walk } from "../harness.mjs";
import { answerSignIn, at, build, button, openFlow, region, seen, signIn, submit, typeOwner, until, valueOf } from "../steps.mjs";

// A page that is restored from the back/forward cache is not loaded again.
const RESTORED = { waitUntil: "commit" };

walk("a reload requests no token and keeps none", async ({ page, demo }) => {
  const { secrets } = await submitOwner(page, demo);
  let asked = 0;
  page.on("request", (request) => (asked += Number(request.url().includes("/api/token"))));
  const answer = await page.reload();
  await seen(button(page, "Build Token URL"));
  await page.waitForLoadState("networkidle");
  assert.equal(asked, 0, "no token is requested");
  assert.equal(await region(page, "Token set").isVisible(), false);
  for (const place of [await answer.text(), await page.content()]) holdsNone(place, secrets, "the page");
  await page.getByLabel("Flow").selectOption({ label: "Resource Owner" });
  assert.equal(await password(page).inputValue(), "", "the password is gone");
});

walk("tokens and passwords are in no storage, URL or cookie", async ({ page, context, demo }) => {
  const { secrets } = await submitOwner(page, demo);
  const places = await page.evaluate(async () => ({
    local: JSON.stringify({ ...localStorage }),
    session: JSON.stringify({ ...sessionStorage }),
    history: JSON.stringify(history.state),
    address: location.href,
    cookies: document.cookie,
    databases: JSON.stringify(await indexedDB.databases()),
    fields: [...document.querySelectorAll("input")].map((field) => field.value).join("\n"),
    attributes: [...document.querySelectorAll("*")].flatMap((one) => [...one.attributes].map((attribute) => attribute.value)).join("\n"),
  }));
  for (const [name, text] of Object.entries(places)) holdsNone(text, secrets, name);
  assert.deepEqual([places.local, places.session, places.history, places.databases], ["{}", "{}", "null", "[]"]);
  assert.match(places.cookies, /^XSRF-TOKEN=[\w.%-]+$/, "scripts cannot read the session cookie");
  holdsNone(JSON.stringify(await context.cookies()), secrets, "the cookies");
  holdsNone(await page.content(), [demo.password], "the page");
});

walk("after going back and forward again, the flow is empty and works", async ({ page, demo }) => {
  await signIn(page, demo);
  await page.getByRole("link", { name: "Continue" }).click();
  await at(page, "/m2m");
  await build(page);
  await submit(page);
  const token = await valueOf(region(page, "Token set"), "access_token");
  await page.goBack(RESTORED);
  await seen(page.getByRole("heading", { name: "Login Protocols" }));
  await page.goForward(RESTORED);
  await seen(page.getByText("Build the request first"));
  assert.ok(await button(page, "Submit").isDisabled());
  assert.equal(await region(page, "Token set").isVisible(), false);
  holdsNone(await page.content(), [token], "the page");
  await build(page);
  await submit(page);
});

walk("a page that was left while the preview was loading has forgotten the password", async ({ page, demo }) => {
  await openFlow(page, demo, "Resource Owner");
  await typeOwner(page, demo.username, demo.password);
  // The preview is faked, because this browser does not cache a page right after a request with no-store.
  await page.evaluate(() => {
    const request = { method: "POST", url: location.href, headers: {}, body: "", curl: "curl" };
    const answer = Response.json({ Success: true, Result: { apiEndPoint: "", payload: {}, request }, ErrorMessage: null });
    const back = new Promise((resolve) => addEventListener("pageshow", (event) => event.persisted && resolve(answer)));
    globalThis.fetch = () => back;
    document.title = "kept";
  });
  await button(page, "Build Token URL").click();
  await page.goto("/protocols");
  await page.goBack(RESTORED);
  await until("the page is the same one", async () => (await page.title()) === "kept");
  await page.waitForTimeout(200);
  assert.ok(await button(page, "Submit").isDisabled());
  await seen(page.getByText("No request yet."));
  assert.equal(await page.getByText("Building…").isVisible(), false);
});

walk("going back after Try Another Flow shows the sign-in and no token", async ({ page, demo }) => {
  const { secrets } = await submitOwner(page, demo);
  await button(page, "Try Another Flow").click();
  await at(page, "/");
  await page.goBack(RESTORED);
  await at(page, "/login");
  holdsNone(await page.content(), secrets, "the page");
});

for (const path of ["/protocols", "/m2m", "/settings", "/account"]) {
  walk(`a deep link to ${path} leads back there after the sign-in`, async ({ page, demo }) => {
    await signIn(page, demo, path);
    await page.waitForLoadState("networkidle");
    await page.goto("/login");
    await at(page, "/protocols");
  });
}

for (const next of ["//evil.example", "https://evil.example", "/api/x", "/%5cevil.example", "javascript:alert(1)"]) {
  walk(`next=${next} is ignored`, async ({ page, demo }) => {
    await page.goto(`/login?next=${next}`);
    await answerSignIn(page, demo.username, ["Password", demo.password]);
    await at(page, "/protocols");
  });
}

/** A token set by Resource Owner; what must be nowhere then. */
async function submitOwner(page, demo) {
  await openFlow(page, demo, "Resource Owner");
  await typeOwner(page, demo.username, demo.password);
  await build(page);
  await submit(page);
  const set = region(page, "Token set");
  return { secrets: [demo.password, await valueOf(set, "access_token"), await valueOf(set, "refresh_token")] };
}

const password = (page) => page.getByRole("group", { name: "Resource owner" }).getByLabel("Password");

function holdsNone(text, secrets, where) {
  for (const secret of secrets) {
    assert.ok(secret.length > 12, "a secret to look for");
    assert.ok(!text.includes(secret), `a secret is in: ${where}`);
  }
}

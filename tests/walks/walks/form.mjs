// Submit sends what was previewed, or nothing.

import assert from "node:assert/strict";
import { walk } from "../harness.mjs";
import { build, button, openFlow, region, seen, submit, typeOwner } from "../steps.mjs";

const EMPTY = "No request yet.";

walk("Submit needs a preview, and any change discards the preview", async ({ page, demo }) => {
  await openFlow(page, demo, "Resource Owner");
  await isClosed(page);
  const owner = page.getByRole("group", { name: "Resource owner" });
  const changes = {
    "the flow": () => page.getByLabel("Flow").selectOption({ label: "Client Creds" }),
    "the flow, back": () => page.getByLabel("Flow").selectOption({ label: "Resource Owner" }),
    "a scope": () => page.getByRole("checkbox", { name: "reports:read" }).check(),
    "the Api": () => changeApi(page),
    "the user name": () => owner.getByLabel("Username").fill("somebody"),
    "the password": () => owner.getByLabel("Password").fill("another password"),
  };
  for (const [what, change] of Object.entries(changes)) {
    if (await owner.isVisible()) await typeOwner(page, demo.username, demo.password);
    await build(page);
    assert.ok(await button(page, "Submit").isEnabled(), `before ${what}`);
    await change();
    await isClosed(page, what);
    await seen(page.getByText("The inputs have changed."));
  }
});

walk("a change while the preview is loading keeps Submit disabled", async ({ page, demo }) => {
  await openFlow(page, demo);
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await page.route("**/api/tokenRequestPreview", async (route) => {
    await held;
    await route.continue();
  });
  await button(page, "Build Token URL").click();
  await page.getByRole("checkbox", { name: "reports:read" }).check();
  const answered = page.waitForResponse("**/api/tokenRequestPreview");
  release();
  await answered;
  await page.waitForTimeout(200);
  await isClosed(page, "a late preview");
});

walk("Submit sends exactly the preview", async ({ page, demo }) => {
  await openFlow(page, demo);
  const asked = [];
  page.on("request", (request) => asked.push([new URL(request.url()).pathname, request.postData()]));
  await page.getByRole("checkbox", { name: "reports:read" }).check();
  await build(page);
  const http = await page.getByRole("group", { name: "HTTP request" }).innerText();
  assert.match(http, /scope=all(\+|%20)reports(:|%3A)read/);
  await submit(page);
  const [preview, sent] = ["/api/tokenRequestPreview", "/api/tokenSet"].map((path) => asked.find(([one]) => one === path)[1]);
  assert.equal(preview, sent);
});

walk("a second click during the first request requests no second token", async ({ page, demo }) => {
  await openFlow(page, demo);
  await build(page);
  let asked = 0;
  page.on("request", (request) => (asked += Number(request.url().endsWith("/api/tokenSet"))));
  await button(page, "Submit").dblclick();
  await seen(page.getByText("Received the token set."));
  assert.equal(asked, 1);
});

walk("the resource owner's empty fields are reported, and no request is made", async ({ page, demo }) => {
  await openFlow(page, demo, "Resource Owner");
  let asked = 0;
  page.on("request", (request) => (asked += Number(request.url().includes("/api/token"))));
  await typeOwner(page, "", "");
  await button(page, "Build Token URL").click();
  assert.equal(await page.getByText("Required for this flow.").count(), 2);
  assert.equal(asked, 0);
});

/** No preview, and no Submit. */
async function isClosed(page, after = "the first look") {
  assert.ok(await button(page, "Submit").isDisabled(), `Submit is closed after ${after}`);
  await seen(region(page, "The request").getByText(EMPTY));
}

/** Chooses another Api, or the same one again where there is one alone: a person's choice is an event all the same. */
async function changeApi(page) {
  const api = page.getByLabel("API", { exact: true });
  const count = await api.getByRole("option").count();
  await api.selectOption({ index: count - 1 });
}

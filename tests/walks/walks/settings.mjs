// The Settings: saved, refused, changed by someone else meanwhile.

import assert from "node:assert/strict";
import { walk } from "../harness.mjs";
import { build, button, openFlow, seen, signIn, submit, until } from "../steps.mjs";

const MESSAGE = "Settings updated successfully";

walk("a stored secret that was revoked causes invalid_client in the flow", { refused: ["400 /api/tokenSet"] }, async ({ page, context, demo }) => {
  await openFlow(page, demo);
  await build(page);
  const body = JSON.stringify({ Success: false, Result: null, ErrorMessage: "client authentication failed", ErrorCode: "invalid_client" });
  await page.route("**/api/tokenSet", (route) => route.fulfill({ status: 400, contentType: "application/json", body }), { times: 1 });
  await button(page, "Submit").click();
  await seen(page.getByText("invalid_client", { exact: true }));
  await seen(page.getByText("store the secret again"));
  await save(await openSettings(context), { Password: demo.client_secret });
  await submit(page);
});

walk("unregistered values are not saved, and reported next to their field", { refused: ["400 /api/updateSettings"] }, async ({ page, demo }) => {
  await signIn(page, demo, "/settings");
  await loaded(page);
  const rows = [
    ["Application ID", "nothing", demo.api, "Application ID is not the ID of an API"],
    ["Username", "nobody", demo.client_id, "Username is not a registered client_id"],
    ["Password", "cs_secret_of_nobody", "", "Password does not work with this Username"],
    ["Scopes", "all é", "all", "Scopes must be scope names"],
    ["Scopes", "all reports:burn", "all", "Scopes must be scopes of the API, which has no reports:burn"],
  ];
  for (const [label, wrong, right, words] of rows) {
    await page.getByLabel(label).fill(wrong);
    await button(page, "Save").click();
    await seen(page.getByText(words));
    assert.equal(await page.getByText(MESSAGE).isVisible(), false);
    await page.getByLabel(label).fill(right);
  }
});

walk("invalid values are reported next to their field", { refused: ["400 /api/updateSettings"] }, async ({ page, demo }) => {
  await signIn(page, demo, "/settings");
  await loaded(page);
  await page.getByLabel("Application ID").fill("");
  await button(page, "Save").click();
  await seen(page.getByText("Required", { exact: false }));
  await page.getByLabel("Application ID").fill(demo.api);
  await page.getByLabel("Password").fill("short");
  await button(page, "Save").click();
  await seen(page.getByText("Password must be at least 8 characters long"));
  assert.equal(await page.getByLabel("Password").getAttribute("aria-invalid"), "true");
});

walk("the stored secret is not on the page, and saved values are shown again", async ({ page, demo }) => {
  await signIn(page, demo, "/settings");
  await loaded(page);
  assert.equal(await page.getByLabel("Password").inputValue(), "");
  assert.ok(!(await page.content()).includes(demo.client_secret));
  await save(page, { Scopes: "reports:read" });
  await page.reload();
  await loaded(page);
  assert.equal(await page.getByLabel("Scopes").inputValue(), "reports:read");
  await page.goto("/m2m");
  assert.ok(await page.getByRole("checkbox", { name: "reports:read" }).isChecked());
  await page.goto("/settings");
  await loaded(page);
  await save(page, { Scopes: "all" });
});

walk("a successful save is reported even if the settings cannot be reloaded", { broken: ["/api/getSettings"] }, async ({ page, demo }) => {
  await signIn(page, demo, "/settings");
  await loaded(page);
  await page.route("**/api/getSettings", (route) => route.abort(), { times: 1 });
  await save(page, { Scopes: "all reports:read" });
  await seen(page.getByText("Failed to load the settings"));
  assert.equal(await page.getByText("Nothing was saved").count(), 0);
  await button(page, "Load the stored settings").click();
  await seen(page.getByText("Version"));
  await until("what is stored", async () => !(await button(page, "Load the stored settings").isVisible()));
  await save(page, { Scopes: "all" });
});

walk("when two tabs save the Settings, the later one gets a conflict and overwrites nothing", { refused: ["409 /api/updateSettings"] }, async ({ page, context, demo }) => {
  await signIn(page, demo, "/settings");
  await loaded(page);
  const other = await openSettings(context);
  await save(other, { Scopes: "all reports:read" });
  await page.getByLabel("Scopes").fill("reports:write");
  await button(page, "Save").click();
  await seen(page.getByText("Someone changed the settings after this page loaded them."));
  await button(page, "Load the stored settings").click();
  await until("what is stored", async () => (await page.getByLabel("Scopes").inputValue()) === "all reports:read");
  await save(page, { Scopes: "all" });
});

/** The Settings in another tab. */
async function openSettings(context) {
  const page = await context.newPage();
  await page.goto("/settings");
  await loaded(page);
  return page;
}

/** Waits until the stored values are there. */
async function loaded(page) {
  await seen(page.getByText(/^Version \d+$/));
}

/** Types and saves. */
async function save(page, fields) {
  for (const [label, value] of Object.entries(fields)) await page.getByLabel(label).fill(value);
  await button(page, "Save").click();
  await seen(page.getByText(MESSAGE));
}

// The curl lines, copied from the pages and run.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { walk } from "../harness.mjs";
import { build, openFlow, region, seen, typeOwner } from "../steps.mjs";

const context = { permissions: ["clipboard-read", "clipboard-write"] };

walk("the curl line of the home page returns a token set", { context }, async ({ page, demo }) => {
  await page.goto("/");
  await run(await copy(page, region(page, "Use the command line")), demo);
});

walk("the curl line of client credentials returns a token set", { context }, async ({ page, demo }) => {
  await openFlow(page, demo);
  await build(page);
  await page.getByRole("tab", { name: "curl" }).click();
  await run(await copy(page, region(page, "The request")), demo);
});

walk("the curl line of resource owner returns a token set with a refresh token", { context }, async ({ page, demo }) => {
  await openFlow(page, demo, "Resource Owner");
  await typeOwner(page, demo.username, demo.password);
  await build(page);
  await page.getByRole("tab", { name: "curl" }).click();
  const set = await run(await copy(page, region(page, "The request")), demo);
  assert.ok(set.refresh_token);
});

/** Copies the curl line, as a person does, and reads the clipboard. */
async function copy(page, place) {
  await place.getByRole("button", { name: "Copy the curl line" }).click();
  await seen(place.getByRole("button", { name: "Copied" }));
  return page.evaluate(() => navigator.clipboard.readText());
}

/** Runs a line in a shell that knows the secrets; the line does not. */
async function run(line, demo) {
  assert.match(line, /^curl /);
  assert.ok(!line.includes(demo.client_secret) && !line.includes(demo.password), "no secret in the line");
  const env = { PATH: process.env.PATH, NO_PROXY: "127.0.0.1", CLIENT_SECRET: demo.client_secret, PASSWORD: demo.password };
  const { stdout } = await promisify(execFile)("sh", ["-c", line], { env });
  const set = JSON.parse(stdout);
  assert.equal(set.token_type, "Bearer", stdout);
  return set;
}

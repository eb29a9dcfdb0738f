// The pages' policy, their size, and asset URLs that change with the content.

import assert from "node:assert/strict";
import { walk } from "../harness.mjs";
import { signIn } from "../steps.mjs";

/** All that /m2m fetches, uncompressed. */
const MAX_BYTES = 120_000;

walk("every page has a policy without unsafe keywords", { refused: ["404 /nothing"] }, async ({ page, demo }) => {
  const check = async (path) => {
    const headers = (await page.goto(path)).headers();
    const policy = headers["content-security-policy"] ?? "";
    assert.match(policy, /default-src 'none'/, path);
    assert.doesNotMatch(policy, /unsafe-|\*|https?:|data:/, path);
    assert.equal(headers["cache-control"], "no-store", path);
    const inline = await page.locator("script:not([src]), style, [style], [onclick], [onload]").count();
    assert.equal(inline, 0, `${path} has no inline script or style`);
  };
  for (const path of ["/", "/login", "/nothing"]) await check(path);
  await signIn(page, demo);
  for (const path of ["/protocols", "/m2m", "/settings", "/account"]) await check(path);
});

walk("an injected script does not run", async ({ page, context }) => {
  await page.goto("/");
  // This page is not watched, because the browser complains about what it blocks.
  context.removeAllListeners("console");
  const refused = await page.evaluate(() => {
    const script = document.createElement("script");
    const marked = () => "ran" in globalThis;
    try {
      script.text = "globalThis.ran = true";
    } catch {
      return "by trusted types";
    }
    document.head.append(script);
    return marked() ? "" : "by the policy";
  });
  assert.notEqual(refused, "");
});

walk(`the assets of /m2m are under ${MAX_BYTES / 1000} KB, and immutable`, async ({ page, demo }) => {
  await signIn(page, demo);
  await page.waitForLoadState("networkidle");
  const fetched = new Set();
  page.on("request", (request) => request.url().includes("/static/") && fetched.add(request.url()));
  await page.goto("/m2m");
  await page.waitForLoadState("networkidle");
  assert.ok(fetched.size > 10, "modules and the stylesheet");
  let sum = 0;
  for (const address of fetched) {
    const answer = await page.request.get(address);
    assert.match(answer.headers()["cache-control"], /immutable/, address);
    sum += (await answer.body()).length;
  }
  console.log(`  ${fetched.size} assets, ${sum} bytes`);
  assert.ok(sum < MAX_BYTES, `${sum} bytes`);
});

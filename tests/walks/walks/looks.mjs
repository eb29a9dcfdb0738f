// Every page and state: accessible, in a narrow window, light and dark.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { walk } from "../harness.mjs";
import { STATES } from "../states.mjs";
import { build, openFlow, typeOwner } from "../steps.mjs";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const WIDTH = 320;
const refused = ["401 /api/auth/advanceAuth", "400 /api/tokenSet", "404 /nothing"];

for (const colorScheme of ["light", "dark"]) {
  // axe-core is an injected script, so the policy must be off here.
  walk(`axe-core finds nothing on any page, ${colorScheme}`, { refused, context: { colorScheme, bypassCSP: true } }, async ({ page, demo }) => {
    const script = await readFile(AXE, "utf8");
    const faults = [];
    for (const [name, show] of Object.entries(STATES)) {
      await show(page, demo);
      await page.evaluate(script);
      // A color in transition has neither value.
      await page.evaluate(() => Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {}))));
      const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
      assert.ok(passes.length > 10, `axe-core has looked at ${name}`);
      faults.push(...violations.map((one) => `${name}: ${one.impact}: ${one.id}: ${one.nodes.map((node) => node.target.join(" ")).join(", ")}`));
    }
    assert.deepEqual(faults, []);
  });
}

walk(`nothing is wider than ${WIDTH} px`, { refused, context: { viewport: { width: WIDTH, height: 640 } } }, async ({ page, demo }) => {
  for (const [name, show] of Object.entries(STATES)) {
    await show(page, demo);
    const wide = await page.evaluate(() => document.scrollingElement.scrollWidth);
    assert.ok(wide <= WIDTH, `${name} is ${wide} px wide`);
  }
});

walk("a very long user name leaves no gap below the request, and the field names readable", { context: { viewport: { width: WIDTH, height: 640 } } }, async ({ page, demo }) => {
  await openFlow(page, demo, "Resource Owner");
  await typeOwner(page, "a".repeat(3000), demo.password);
  await build(page);
  const [http, below] = await Promise.all([page.getByRole("group", { name: "HTTP request" }).boundingBox(), page.getByText("What each line means").boundingBox()]);
  assert.ok(below.y - (http.y + http.height) < 120, `${below.y - (http.y + http.height)} px are empty`);
  await page.getByRole("tab", { name: "Payload" }).click();
  const key = await page.getByRole("group", { name: "Payload" }).getByRole("term").filter({ hasText: "userName" }).boundingBox();
  assert.ok(key.height < 40, `the key is ${key.height} px high`);
});

walk("the dark scheme is dark, and the light one light", async ({ page, enter }) => {
  const dark = await (await enter({ colorScheme: "dark" })).newPage();
  const brightness = async (one) => {
    await one.goto("/");
    const colour = await one.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    return colour.match(/[\d.]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3;
  };
  assert.ok((await brightness(page)) > 200);
  assert.ok((await brightness(dark)) < 60);
});

// Time passes while the page is open.

import assert from "node:assert/strict";
import { walk } from "../harness.mjs";
import { getToken, region, seen, until, valueOf } from "../steps.mjs";

walk("a token that expires while the page is open is shown as expired", async ({ page, demo }) => {
  await page.clock.install();
  await getToken(page, demo);
  const set = region(page, "Token set");
  await seen(set.getByText(/(1:59:5\d|2:00:00) left/));
  assert.equal(await set.getByText(/expired/).count(), 0);
  await page.clock.fastForward("01:00:00");
  await seen(set.getByText(/(59:5\d|1:00:00) left/));
  await page.clock.fastForward("01:00:01");
  await until("the countdown says so", async () => /· expired$/.test(await valueOf(set, "expires_in")));
  await seen(page.getByRole("status").getByText("The token has expired."));
});

walk("with a wrong clock, the browser shows a consistent expiry and remaining lifetime", async ({ page, demo }) => {
  await page.clock.install({ time: Date.now() - 3 * 60 * 60 * 1000 });
  await getToken(page, demo);
  await seen(region(page, "Token set").getByText(/(1:59:5\d|2:00:0\d) left/));
  const until = /until (.+) ·/.exec(await valueOf(region(page, "Token set"), "expires_in"))?.[1];
  const exp = await valueOf(region(page, "Claims"), "exp");
  assert.ok(until && exp.includes(until), `${until} is in ${exp}`);
});

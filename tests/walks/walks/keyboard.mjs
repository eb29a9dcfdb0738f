// Client credentials without a mouse. The focus is always visible, and follows the order of the page.

import assert from "node:assert/strict";
import { walk } from "../harness.mjs";
import { at, button, region, seen } from "../steps.mjs";

walk("client credentials by keyboard only, with a visible focus", async ({ page, demo }) => {
  await page.goto("/");
  await tabTo(page, region(page, "Scenario 1").getByRole("link", { name: "Login", exact: true }));
  await page.keyboard.press("Enter");
  await at(page, "/login");
  await tabTo(page, page.getByLabel("Username"));
  await page.keyboard.type(demo.username);
  await page.keyboard.press("Enter");
  await seen(page.getByLabel("Password", { exact: true }));
  await page.keyboard.type(demo.password);
  await page.keyboard.press("Enter");
  await at(page, "/protocols");
  await tabTo(page, page.getByRole("link", { name: "Continue" }));
  await page.keyboard.press("Enter");
  await at(page, "/m2m");
  await chooseFlow(page);
  await tabTo(page, button(page, "Build Token URL"));
  await page.keyboard.press("Space");
  await seen(page.getByText("Submit sends exactly this."));
  await readTabs(page);
  await tabTo(page, button(page, "Submit"), "Shift+Tab");
  await page.keyboard.press("Enter");
  await seen(page.getByText("Received the token set."));
  await useToken(page);
});

walk("the skip link skips the navigation", async ({ page }) => {
  await page.goto("/");
  await page.keyboard.press("Tab");
  await isSeen(page);
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert.ok(await page.evaluate(() => document.querySelector("main").contains(document.activeElement)));
});

/** The native drop-down and a chip, by arrows and Space. */
async function chooseFlow(page) {
  await tabTo(page, page.getByLabel("Flow"));
  await page.keyboard.press("ArrowDown");
  assert.equal(await page.getByLabel("Flow").inputValue(), "password");
  await page.keyboard.press("ArrowUp");
  assert.equal(await page.getByLabel("Flow").inputValue(), "client_credentials");
  const chip = page.getByRole("checkbox", { name: "reports:read" });
  await tabTo(page, chip);
  await page.keyboard.press("Space");
  assert.ok(await chip.isChecked());
}

/** The tabs of the preview: one stop, arrows move between them. */
async function readTabs(page) {
  await tabTo(page, page.getByRole("tab", { name: "HTTP" }));
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.getByRole("tab", { name: "curl" }).getAttribute("aria-selected"), "true");
  await isSeen(page);
  await page.keyboard.press("End");
  await seen(page.getByRole("tabpanel", { name: "Payload" }));
}

/** A call, its explanation, and the end of the token. */
async function useToken(page) {
  await tabTo(page, page.getByRole("button", { name: "GET /resource/whoami" }));
  await page.keyboard.press("Enter");
  await seen(region(page, "Call an API").getByRole("heading", { name: "200" }));
  await tabTo(page, button(page, "Revoke"));
  await page.keyboard.press("Enter");
  await seen(region(page, "Introspect, refresh, revoke").getByRole("heading", { name: "Revoked" }));
  await tabTo(page, button(page, "Call again"));
  await page.keyboard.press("Enter");
  await seen(region(page, "Call an API").getByRole("heading", { name: "401" }));
}

/** Presses Tab until the focus is there; at every stop it must be seen. */
async function tabTo(page, target, key = "Tab") {
  const isThere = () => target.evaluate((element) => element === document.activeElement);
  for (let stops = 0; !(await isThere()); stops += 1) {
    assert.ok(stops < 80, `no way by ${key} to ${target}`);
    await page.keyboard.press(key);
    await isSeen(page);
  }
}

/** The element in focus has an outline, lies in the window, and nothing covers it. */
async function isSeen(page) {
  const { name, outline, inside } = await page.evaluate(async () => {
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    await frame();
    await frame();
    const focused = document.activeElement;
    // A chip's box and outline are those of its label.
    const shown = [focused, focused.nextElementSibling, focused.closest("label")].filter(Boolean);
    const outline = shown.some((one) => ["outlineStyle", "boxShadow"].some((property) => getComputedStyle(one)[property] !== "none"));
    const isInside = () => {
      const box = (focused.closest("label") ?? focused).getBoundingClientRect();
      return box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
    };
    // Scrolling to it may take a moment.
    for (let waited = 0; waited < 60 && !isInside(); waited += 1) await frame();
    return { name: focused.outerHTML.slice(0, 120), outline, inside: focused === document.body || isInside() };
  });
  if (name.startsWith("<body")) return;
  assert.ok(outline, `the focus is not seen: ${name}`);
  assert.ok(inside, `the focus is out of sight: ${name}`);
}

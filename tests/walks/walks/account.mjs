// The account page: one-time codes, sessions, password. It runs last, because it changes the demo user's password.

import assert from "node:assert/strict";
import { walk } from "../harness.mjs";
import { answerSignIn, at, build, button, region, seen, signIn, submit, typeOwner } from "../steps.mjs";
import { codeOf, currentStep } from "../totp.mjs";

const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const refused = ["401 /api/auth/advanceAuth", "401 /api/account/beginSecondFactor", "401 /api/account/confirmSecondFactor", "401 /api/account/removeSecondFactor", "400 /api/tokenSet"];

walk("one-time codes are enrolled, required, accepted once, and removed", { refused }, async ({ page, demo }) => {
  await signIn(page, demo, "/account");
  const key = await enrol(page, demo);
  // The previous and the next code are accepted too, so three of them need no wait.
  const step = await currentStep();
  await page.getByLabel("Code from the app").first().fill("000000");
  await button(page, "Confirm").click();
  await seen(page.getByText("Wrong code."));
  await page.getByLabel("Code from the app").first().fill(codeOf(key, step - 1));
  await button(page, "Confirm").click();
  await seen(page.getByText("Signing in now requires a code."));
  await ownerIsRefused(page, demo);
  await button(page, "Sign out").click();
  await at(page, "/");
  await signInWithCode(page, demo, codeOf(key, step - 1), codeOf(key, step));
  await changePassword(page, demo.password, "a password without a code");
  await seen(region(page, "Password").getByText("Required"));
  await remove(page, demo, codeOf(key, step + 1));
});

walk("a canceled enrolment changes nothing", async ({ page, demo }) => {
  await signIn(page, demo, "/account");
  const place = region(page, "One-time code");
  await place.getByLabel("Your password").first().fill(demo.password);
  await button(page, "Set up").click();
  await seen(page.getByRole("img", { name: "QR code" }));
  await button(page, "Cancel").click();
  await seen(page.getByText("Nothing was changed."));
  await page.reload();
  await seen(place.getByText("Off", { exact: true }));
});

walk("another session is listed, and can be ended", { refused: ["401 /api/claims", "401 /api/tokenRequestPreview"] }, async ({ page, enter, demo }) => {
  await signIn(page, demo, "/account");
  const other = await (await enter({ userAgent: FIREFOX })).newPage();
  await signIn(other, demo, "/m2m");
  await build(other);
  await submit(other);
  await page.reload();
  const rows = region(page, "Sessions").getByRole("listitem");
  await seen(rows.filter({ hasText: "This one" }));
  assert.equal(await rows.count(), 2);
  await page.getByRole("button", { name: "End the session of Firefox on Linux" }).click();
  await rows.filter({ hasText: "Firefox" }).waitFor({ state: "detached" });
  assert.equal(await rows.count(), 1);
  await other.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await seen(other.getByText("Failed to check the token"));
  await button(other, "Build Token URL").click();
  await seen(other.getByRole("group", { name: "Failed to build the request" }).getByText("Your session has ended"));
  await other.reload();
  await at(other, "/login");
});

// A request with the pair of an ended session is refused once. The page then gets another pair by itself, and nothing is lost.
const refusedPassword = ["401 /api/account/changePassword", "401 /api/auth/advanceAuth", "403 /api/auth/beginAuth"];

walk("a changed password ends the other sessions, and the old one is refused", { refused: refusedPassword }, async ({ page, enter, demo }) => {
  await signIn(page, demo, "/account");
  const other = await (await enter()).newPage();
  await signIn(other, demo, "/account");
  const [old, fresh] = [demo.password, "a longer password, with spaces"];
  await changePassword(page, old, "too short");
  await seen(page.getByText("New password must have 12 to 128 characters"));
  // Too long. If it was truncated silently, nobody would know the password.
  await changePassword(page, old, "0123456789ab".repeat(12));
  await seen(page.getByText("New password must have 12 to 128 characters"));
  assert.equal((await page.getByLabel("New password", { exact: true }).inputValue()).length, 144);
  await changePassword(page, "not the password", fresh);
  await seen(page.getByText("Wrong password."));
  await changePassword(page, old, fresh);
  await seen(page.getByText("All your other sessions have ended, and your tokens have been revoked."));
  demo.password = fresh;
  await other.reload();
  await at(other, "/login");
  await answerSignIn(other, demo.username, ["Password", old]);
  await seen(other.getByText("Wrong username or password."));
  await other.getByLabel("Password", { exact: true }).fill(fresh);
  await button(other, "Next").click();
  await at(other, "/account");
  await page.reload();
  await seen(region(page, "Sessions").getByText("This one"));
});

/** Begins to enrol, with a wrong password first; gives the key that the page shows. */
async function enrol(page, demo) {
  const field = region(page, "One-time code").getByLabel("Your password").first();
  await field.fill("not the password");
  await button(page, "Set up").click();
  await seen(page.getByText("Wrong password."));
  await field.fill(demo.password);
  await button(page, "Set up").click();
  await seen(page.getByRole("img", { name: "QR code" }));
  const key = await page.getByRole("group", { name: "Key" }).innerText();
  assert.match(key, /^[A-Z2-7]{4}( [A-Z2-7]{1,4})+$/);
  return key;
}

/** The resource owner flow has no place for a code. */
async function ownerIsRefused(page, demo) {
  await page.goto("/m2m");
  await page.getByLabel("Flow").selectOption({ label: "Resource Owner" });
  await typeOwner(page, demo.username, demo.password);
  await build(page);
  await button(page, "Submit").click();
  await seen(page.getByText("invalid_grant", { exact: true }));
  await seen(page.getByText("Users with a second factor cannot use this grant."));
}

async function signInWithCode(page, demo, used, fresh) {
  await page.goto("/account");
  await answerSignIn(page, demo.username, ["Password", demo.password], ["One-time code", used]);
  await seen(page.getByText("Wrong code."));
  // With a space between two groups of digits, as apps show it.
  await page.getByLabel("One-time code", { exact: true }).fill(` ${fresh.slice(0, 3)} ${fresh.slice(3)} `);
  await button(page, "Next").click();
  await at(page, "/account");
}

async function remove(page, demo, code) {
  const place = region(page, "One-time code");
  await seen(place.getByText("On", { exact: true }));
  const send = async (tried) => {
    await place.getByRole("textbox", { name: "Your password" }).fill(demo.password);
    await place.getByRole("textbox", { name: "Code from the app" }).fill(tried);
    await button(page, "Remove").click();
  };
  await send("000000");
  await seen(page.getByText("The password or the code is wrong"));
  await send(code);
  await seen(page.getByText("Removed. You no longer need a code to sign in."));
  await region(page, "Password").getByLabel("Code from the app").waitFor({ state: "hidden" });
}

async function changePassword(page, old, fresh) {
  await page.getByLabel("Current password").fill(old);
  await page.getByLabel("New password", { exact: true }).fill(fresh);
  await button(page, "Change password").click();
}

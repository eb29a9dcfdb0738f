// What users do on the pages, in terms of the texts on them.

import assert from "node:assert/strict";

export const region = (page, name) => page.getByRole("region", { name });
export const button = (page, name) => page.getByRole("button", { name, exact: true });

/** Waits until it is seen. */
export async function seen(locator) {
  await locator.first().waitFor({ state: "visible" });
}

/** Waits until a page of ours is there. */
export async function at(page, path) {
  await page.waitForURL((url) => url.pathname === path);
}

/** Asks again and again until it is true; the walk's own patience ends it. */
export async function until(what, ask, patience_ms = 5_000) {
  const end = Date.now() + patience_ms;
  while (!(await ask())) {
    assert.ok(Date.now() < end, `not within ${patience_ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Answers the questions of /login. */
export async function answerSignIn(page, user, ...answers) {
  await page.getByLabel("Username").fill(user);
  await button(page, "Next").click();
  for (const [label, answer] of answers) {
    await page.getByLabel(label, { exact: true }).fill(answer);
    await button(page, "Next").click();
  }
}

/** Signs in and comes to `path`. */
export async function signIn(page, demo, path = "/protocols") {
  await page.goto(path);
  await at(page, "/login");
  await answerSignIn(page, demo.username, ["Password", demo.password]);
  await at(page, path);
}

/** Signs in, and chooses a flow on /m2m. */
export async function openFlow(page, demo, flow = "Client Creds") {
  await signIn(page, demo, "/m2m");
  await page.getByLabel("Flow").selectOption({ label: flow });
}

/** Types the resource owner's name and password. */
export async function typeOwner(page, user, password) {
  const owner = page.getByRole("group", { name: "Resource owner" });
  await owner.getByLabel("Username").fill(user);
  await owner.getByLabel("Password").fill(password);
}

export async function build(page) {
  await button(page, "Build Token URL").click();
  await seen(page.getByText("Submit sends exactly this."));
}

export async function submit(page) {
  await button(page, "Submit").click();
  await seen(page.getByText("Received the token set."));
}

/** A token set by Client Creds, on the page. */
export async function getToken(page, demo, scopes = ["all"]) {
  await openFlow(page, demo);
  await chooseScopes(page, scopes);
  await build(page);
  await submit(page);
}

/** Ticks these scopes and no others. */
export async function chooseScopes(page, names) {
  for (const chip of await page.getByRole("group", { name: "Scopes" }).getByRole("checkbox").all()) {
    await chip.setChecked(names.includes(await chip.getAttribute("value")));
  }
}

/** What stands beside a name in a list of names and values. */
export async function valueOf(place, name) {
  const term = place.getByRole("term").filter({ has: place.page().getByText(name, { exact: true }) });
  return (await term.locator("xpath=following-sibling::*[1]").innerText()).trim();
}

/** Ticks that hold, out of all verdicts. */
export async function verdicts(page) {
  const rows = region(page, "Is this token valid?").getByRole("listitem");
  await seen(rows);
  const words = await rows.allInnerTexts();
  return { all: words.length, hold: words.filter((text) => text.includes("✓") && !text.includes("not valid")).length, words };
}

/** Calls the API by hand, and gives the title of the answer and what the guard decided. */
export async function callApi(page, method, path) {
  const place = region(page, "Call an API with this token");
  await place.getByLabel("Method").selectOption(method);
  await place.getByLabel("Path").fill(path);
  const answered = page.waitForResponse((response) => response.url().endsWith("/api/callResource"));
  await button(place, "Call").click();
  await answered;
  await seen(place.getByRole("heading", { level: 3 }));
  return { title: await place.getByRole("heading", { level: 3 }).innerText(), words: await place.innerText() };
}

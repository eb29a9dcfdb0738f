// Measurements. Only layout shifts are judged, because they do not depend on the machine.

import { at, build, button, region, seen, submit, answerSignIn } from "./steps.mjs";

/** A few bytes of text: what the browser takes for any page at all. */
const BARE = "/livez";
const PAGES = [BARE, "/", "/login", "/protocols", "/m2m", "/settings", "/account"];
const ROUNDS = 5;
const MAX_TASK_MS = 50;

/** Prints the figures; 1 if something shifts. */
export async function measure(browser, demo) {
  const state = await signedIn(browser, demo);
  let shifted = 0;
  console.log(`first paint with a cold cache, in ms, of ${ROUNDS}: least, median, most; layout shift`);
  for (const path of PAGES) {
    for (const [where, open] of Object.entries({ "from another page": fromAnother, "in a new window": inNewWindow })) {
      const measured = [];
      for (let round = 0; round < ROUNDS; round += 1) measured.push(await open(browser, demo, path, path === "/login" ? undefined : state));
      const paints = measured.map(({ paint }) => paint).sort((a, b) => a - b);
      const shift = Math.max(...measured.map((one) => one.shift));
      shifted = Math.max(shifted, shift);
      console.log(`  ${path.padEnd(11)} ${where.padEnd(18)} ${[paints[0], paints[ROUNDS >> 1], paints.at(-1)].map((ms) => ms.toFixed(0).padStart(5)).join(" ")}   ${shift.toFixed(4)}`);
    }
  }
  const { tasks, shift } = await walkThrough(browser, demo);
  console.log(`client credentials, click by click: layout shift ${shift.toFixed(4)}, tasks over ${MAX_TASK_MS} ms: ${tasks.length === 0 ? "none" : tasks.join(", ")}`);
  const failed = Number(Math.max(shifted, shift) > 0);
  console.log(`${1 - failed} passed, ${failed} failed`);
  return failed;
}

/** The cookies of somebody who is signed in. */
async function signedIn(browser, demo) {
  const context = await browser.newContext({ baseURL: demo.issuer });
  const page = await context.newPage();
  await page.goto("/login");
  await answerSignIn(page, demo.username, ["Password", demo.password]);
  await at(page, "/protocols");
  const state = await context.storageState();
  await context.close();
  return state;
}

/** A page in a window that was at another page of ours, its cache off: what the page itself costs. */
async function fromAnother(browser, demo, path, storageState) {
  const context = await browser.newContext({ baseURL: demo.issuer, storageState });
  const page = await context.newPage();
  await page.goto(path === "/" ? "/protocols" : "/");
  await page.waitForLoadState("networkidle");
  await (await context.newCDPSession(page)).send("Network.setCacheDisabled", { cacheDisabled: true });
  return open(page, path);
}

/** A page in a context that has never seen anything: the start of the browser's own process for it counts, too. */
async function inNewWindow(browser, demo, path, storageState) {
  const context = await browser.newContext({ baseURL: demo.issuer, storageState });
  return open(await context.newPage(), path);
}

/** Opens it, waits until nothing moves, and closes the context. */
async function open(page, path) {
  await page.goto(path);
  await page.waitForLoadState("networkidle");
  await page.waitForTimeout(300);
  const observed = await observe(page);
  await page.context().close();
  return observed;
}

/** The guide's walk; what is observed is read before each page is left. */
async function walkThrough(browser, demo) {
  const context = await browser.newContext({ baseURL: demo.issuer });
  const page = await context.newPage();
  const read = [];
  const note = async () => read.push(await observe(page));
  await page.goto("/");
  await note();
  await region(page, "Scenario 1").getByRole("link", { name: "Login", exact: true }).click();
  await at(page, "/login");
  await page.getByLabel("Username").fill(demo.username);
  await button(page, "Next").click();
  await page.getByLabel("Password", { exact: true }).fill(demo.password);
  await note();
  await button(page, "Next").click();
  await at(page, "/protocols");
  await note();
  await page.getByRole("link", { name: "Continue" }).click();
  await at(page, "/m2m");
  await build(page);
  await submit(page);
  await page.waitForLoadState("networkidle");
  await page.getByRole("button", { name: "GET /resource/whoami" }).click();
  await seen(region(page, "Call an API").getByRole("heading", { level: 3 }));
  await note();
  await context.close();
  return { tasks: read.flatMap((one) => one.tasks), shift: read.reduce((sum, one) => sum + one.shift, 0) };
}

/** What the browser has observed since the page was opened. */
function observe(page) {
  return page.evaluate(async () => {
    const buffered = (type) =>
      new Promise((resolve) => {
        const observer = new PerformanceObserver((list) => resolve(list.getEntries()));
        observer.observe({ type, buffered: true });
        setTimeout(() => resolve([]), 100);
      });
    const shifts = (await buffered("layout-shift")).filter((entry) => !entry.hadRecentInput);
    const tasks = (await buffered("longtask")).map((entry) => Math.round(entry.duration));
    const paint = performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Infinity;
    return { shift: shifts.reduce((sum, entry) => sum + entry.value, 0), tasks, paint };
  });
}

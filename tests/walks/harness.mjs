// A walk: steps through the pages in a fresh browser context. It fails if the browser complains about anything.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";

/** Nothing but the walks themselves may cause traffic. */
const SWITCHES = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--no-proxy-server",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
/** How long a step may take, in milliseconds: a password is hashed in a debug build, perhaps beside a compiler. */
const PATIENCE_MS = 10_000;
/** What is shown of the server's log when a walk fails. */
const LOG_LINES = 10;

const walks = [];

/**
 * A walk to take. `refused` are the answers that the walk provokes, as "401 /api/tokenSet": no others may come, and
 * each must. `broken` are paths of requests that it lets fail. `context` are options of the browser context.
 */
export function walk(name, options, steps) {
  walks.push(steps ? { name, steps, ...options } : { name, steps: options });
}

export function openBrowser(executablePath) {
  // Browsers keep a page after leaving it, and restore it unchanged. So it must forget what it should.
  return chromium.launch({ executablePath, args: SWITCHES, ignoreDefaultArgs: ["--disable-back-forward-cache"] });
}

/**
 * Takes all walks whose names hold one of the words, and tells how many failed. Each lane is a browser before a server
 * of its own; whichever is free takes the next walk.
 */
export async function runAll({ lanes, screens, words }) {
  const chosen = walks.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));
  const waiting = [...chosen];
  const faults = [];
  const run = async (lane) => {
    for (let one = waiting.shift(); one; one = waiting.shift()) {
      const began = performance.now();
      const fault = await take(one, { ...lane, screens });
      const span = `${((performance.now() - began) / 1000).toFixed(1)} s`;
      console.log(`${fault ? "✗" : "✓"} ${one.name} (${span})`);
      if (fault) faults.push(`✗ ${one.name}\n${indent(`${fault}\nThe server's last lines:\n${await lastLines(lane.log)}`)}`);
    }
  };
  await Promise.all(lanes.map(run));
  // Last, so that it is at the end of a long log.
  for (const fault of faults) console.log(fault);
  console.log(`${chosen.length - faults.length} passed, ${faults.length} failed`);
  return chosen.length === 0 ? 1 : faults.length;
}

/** Takes one walk; what went wrong, or nothing. */
async function take({ steps, context: options = {}, refused = [], broken = [] }, { browser, demo, screens }) {
  const opened = [];
  const watch = { complaints: [], refused: new Set(), broken: new Set() };
  const enter = async (more = {}) => {
    const context = await browser.newContext({ baseURL: demo.issuer, ...options, ...more });
    context.setDefaultTimeout(PATIENCE_MS);
    await watchOver(context, demo.issuer, watch, { refused, broken });
    opened.push(context);
    return context;
  };
  try {
    const context = await enter();
    await steps({ page: await context.newPage(), context, enter, demo, screens });
    assert.deepEqual(watch.complaints, [], "the browser reported problems");
    assert.deepEqual([...watch.refused].sort(), [...new Set(refused)].sort(), "the expected refusals");
    assert.deepEqual([...watch.broken].sort(), [...new Set(broken)].sort(), "the expected failed requests");
  } catch (error) {
    return [error.stack ?? String(error), ...watch.complaints].join("\n");
  } finally {
    for (const context of opened) await leave(context, demo.issuer);
  }
}

/** Records what no page may do: complain, fail, or speak with another server. */
async function watchOver(context, origin, { complaints, refused, broken }, expected) {
  const path = (url) => new URL(url).pathname;
  const provoked = (url) => [...expected.refused.map((one) => one.split(" ")[1]), ...expected.broken].includes(path(url));
  // The browser logs this line for each error response.
  const ofTheBrowser = (message) => message.text().startsWith("Failed to load resource:") && provoked(message.location().url);
  await context.route((url) => url.origin !== origin, (route) => route.abort());
  context.on("request", (request) => {
    if (new URL(request.url()).origin !== origin) complaints.push(`left the origin: ${request.url()}`);
  });
  context.on("response", (response) => {
    const what = `${response.status()} ${path(response.url())}`;
    if (response.status() >= 400) expected.refused.includes(what) ? refused.add(what) : complaints.push(`answer: ${what}`);
  });
  context.on("requestfailed", (request) => {
    const what = path(request.url());
    if (expected.broken.includes(what)) broken.add(what);
    // The browser cancels reads when a page is left. Requests that change something must not be canceled.
    else if (request.method() !== "GET" || request.failure()?.errorText !== "net::ERR_ABORTED") complaints.push(`request failed: ${what}: ${request.failure()?.errorText}`);
  });
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !ofTheBrowser(message)) complaints.push(`console: ${message.text()}`);
  });
  context.on("weberror", (fault) => complaints.push(`page: ${fault.error().stack}`));
}

/** Ends the session that the walk leaves behind, so that the next one finds none, and closes the context. */
async function leave(context, origin) {
  const pair = (await context.cookies(origin)).find(({ name }) => name === "XSRF-TOKEN");
  if (pair) await context.request.post("/api/auth/out", { data: {}, headers: { "x-xsrf-token": pair.value } });
  await context.close();
}

const lastLines = async (file) => (await readFile(file, "utf8")).trimEnd().split("\n").slice(-LOG_LINES).join("\n");

const indent = (text) => text.replace(/^/gm, "    ");

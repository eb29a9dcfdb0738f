// Every page, and its states that look different. Each entry shows one, whatever the current page is.

import { answerSignIn, at, build, button, callApi, seen, signIn, submit, typeOwner } from "./steps.mjs";

/** In this order: the first ones need nobody, and signing in stays in force. */
export const STATES = {
  home: (page) => page.goto("/"),
  "home-signed-out": (page) => page.goto("/?signed-out"),
  login: (page) => page.goto("/login"),
  "login-wrong": showWrongAnswer,
  error: (page) => page.goto("/nothing"),
  protocols: (page, demo) => signIn(page, demo, "/protocols"),
  account: showAccount,
  "account-enrolling": showEnrolment,
  settings: showSettings,
  m2m: (page) => page.goto("/m2m"),
  "m2m-owner": showOwner,
  "m2m-preview": showPreview,
  "m2m-error": showError,
  "m2m-results": showResults,
};

/** Names of nobody, another each time: wrong answers for one name are counted, and ten are too many. */
let strangers = 0;
const stranger = () => `nobody-${(strangers += 1)}`;

async function showWrongAnswer(page) {
  await page.goto("/login");
  await answerSignIn(page, stranger(), ["Password", "not the password"]);
  await seen(page.getByText("Wrong username or password."));
}

async function showAccount(page) {
  await page.goto("/account");
  await seen(page.getByText("This one"));
}

async function showEnrolment(page, demo) {
  await showAccount(page);
  await page.getByLabel("Your password").first().fill(demo.password);
  await button(page, "Set up").click();
  await seen(page.getByRole("img", { name: "QR code" }));
}

async function showSettings(page) {
  await page.goto("/settings");
  await seen(page.getByText(/^Version \d+$/));
}

async function showOwner(page) {
  await page.goto("/m2m");
  await page.getByLabel("Flow").selectOption({ label: "Resource Owner" });
  await seen(page.getByText("RFC 9700 §2.4"));
}

async function showPreview(page) {
  await page.goto("/m2m");
  await page.getByLabel("Flow").selectOption({ label: "Client Creds" });
  await build(page);
}

async function showError(page) {
  await showOwner(page);
  await typeOwner(page, stranger(), "not the password");
  await build(page);
  await button(page, "Submit").click();
  await seen(page.getByText("invalid_grant", { exact: true }));
}

/** Everything that the page can show at once: a token set, a call and its decision, an introspection. */
async function showResults(page, demo) {
  await showOwner(page);
  await typeOwner(page, demo.username, demo.password);
  await build(page);
  await submit(page);
  await callApi(page, "GET", "/resource/whoami");
  await button(page, "Introspect").click();
  await seen(page.getByRole("heading", { name: "Active", exact: true }));
  await at(page, "/m2m");
}

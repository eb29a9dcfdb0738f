// Calls to /api: the envelope, the XSRF pair, and all failures.

import { followClock } from "./time.js";

/** The timeout of a call, in milliseconds. */
const PATIENCE_MS = 20000;
/** True on a page that shows the signed-in user. It only acts for that user, not for one who signed in later. */
const NAMES_PERSON = document.getElementById("sign-out") !== null;
/** The XSRF pair of the session that this page was opened in. */
let opened = pair();

/**
 * @typedef {object} Answer
 * @property {any} result
 * @property {{ status: string, ms: number } | null} timing the endpoint's status and duration
 * @property {string} requestId
 */

/** A failed call, with all its details. */
export class Problem extends Error {
  /**
   * @param {string} code the envelope's ErrorCode, or `network`
   * @param {string} words the server's message
   * @param {{ status?: number, requestId?: string, retryAfter?: string | null, timing?: Answer["timing"] }} [more]
   */
  constructor(code, words, more = {}) {
    super(words);
    this.code = code;
    this.status = more.status ?? 0;
    this.requestId = more.requestId ?? "";
    this.retryAfter = more.retryAfter ?? null;
    this.timing = more.timing ?? null;
  }

  /** The field that a `bad_request` names, or an empty string. */
  get field() {
    const named = this.code === "bad_request" ? /^([A-Za-z_]+): /.exec(this.message) : null;
    return named ? named[1] : "";
  }

  /** The message without the field's name. */
  get words() {
    return this.field ? this.message.slice(this.field.length + 2) : this.message;
  }
}

/**
 * Makes a call, and returns its result or throws a Problem. If the XSRF pair is refused, gets a new one and tries once more. The refused call changed nothing.
 * @param {"GET" | "POST" | "PUT"} method
 * @param {string} path below `/api/`
 * @param {object} [body]
 * @returns {Promise<Answer>}
 */
export async function call(method, path, body) {
  if (!pair()) await send("GET", "getUISettings");
  opened ||= pair();
  const act = () => {
    if (NAMES_PERSON && pair() !== opened) throw new Problem("sign_in_needed", "You signed out, or signed in again, in another tab after opening this page.");
    return send(method, path, body);
  };
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== "xsrf") throw error;
  }
  await send("GET", "getUISettings");
  return act();
}

/** @param {string} path @param {object} [body] */
export const post = (path, body = {}) => call("POST", path, body);

/** Read again for every call, because it changes with the session. @returns {string} */
function pair() {
  const found = document.cookie.split("; ").find((one) => one.startsWith("XSRF-TOKEN="));
  return found ? decodeURIComponent(found.slice("XSRF-TOKEN=".length)) : "";
}

/**
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @returns {Promise<Answer>}
 */
async function send(method, path, body) {
  const response = await fetch(`/api/${path}`, {
    method,
    headers: { accept: "application/json", "x-xsrf-token": pair(), ...(body ? { "content-type": "application/json" } : {}) },
    body: body ? JSON.stringify(body) : undefined,
    credentials: "same-origin",
    cache: "no-store",
    redirect: "error",
    signal: AbortSignal.timeout(PATIENCE_MS),
  }).catch((error) => {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    throw new Problem("network", late ? "The server did not respond in time." : "The server is unreachable.");
  });
  return open(response, await response.json().catch(() => null));
}

/**
 * @param {Response} response
 * @param {any} envelope
 * @returns {Answer}
 */
function open(response, envelope) {
  const requestId = response.headers.get("x-request-id") ?? "";
  followClock(response.headers.get("date"));
  const timing = readTiming(response.headers.get("server-timing"));
  if (envelope?.Success === true) return { result: envelope.Result, timing, requestId };
  const words = envelope?.ErrorMessage ?? envelope?.error_description ?? `The server returned ${response.status} without a message.`;
  const retryAfter = response.headers.get("retry-after");
  throw new Problem(envelope?.ErrorCode ?? "server_error", words, { status: response.status, requestId, retryAfter, timing });
}

/**
 * `token;dur=1.234;desc="200"`
 * @param {string | null} header
 * @returns {Answer["timing"]}
 */
function readTiming(header) {
  const duration = /;\s*dur=([\d.]+)/.exec(header ?? "");
  const status = /;\s*desc="?(\d{3})/.exec(header ?? "");
  return duration ? { ms: Number(duration[1]), status: status ? status[1] : "" } : null;
}

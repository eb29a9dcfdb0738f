// The codes of an authenticator app (RFC 6238, RFC 4226): SHA-1, six digits, thirty seconds.

import { createHmac } from "node:crypto";

const STEP_S = 30;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** The step of now, after waiting until it has at least `left_s` seconds to go: a code must not age on its way. */
export async function currentStep(left_s = 10) {
  const left = STEP_S - (Date.now() / 1000) % STEP_S;
  if (left < left_s) await new Promise((resolve) => setTimeout(resolve, left * 1000 + 100));
  return Math.floor(Date.now() / 1000 / STEP_S);
}

/** The code of a step, by the key as the page shows it. */
export function codeOf(key, step) {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const digest = createHmac("sha1", decode(key)).update(counter).digest();
  const offset = digest[19] & 15;
  return String((digest.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

function decode(key) {
  const bits = [...key.replace(/\s/g, "")].map((letter) => LETTERS.indexOf(letter).toString(2).padStart(5, "0")).join("");
  return Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
}

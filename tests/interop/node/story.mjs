// Shared by the stories in this directory: counted steps, and what every token set and token must contain.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRemoteJWKSet, jwtVerify } from 'jose'

let passed = 0
let failed = 0

/** demo.json, whose path is the only argument. */
export function readDemo() {
  assert.equal(process.argv.length, 3, 'usage: node STORY.mjs DEMO.JSON')
  return JSON.parse(readFileSync(process.argv[2], 'utf8'))
}

/** One step group: one line, passed or failed. The next ones run all the same. */
export async function step(name, actions) {
  try {
    await actions()
    passed += 1
    console.log(`  ok      ${name}`)
  } catch (error) {
    failed += 1
    console.log(`  FAILED  ${name}`)
    console.error(error)
  }
}

/** The last line. */
export function close() {
  console.log(`${passed} passed, ${failed} failed`)
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1
}

/** A token set by RFC 6749 §5.1 that says what it must and nothing else. */
export function expectTokenSet(set, { scope, refreshable }) {
  const members = ['access_token', 'expires_in', 'scope', 'token_type']
  if (refreshable) members.push('refresh_token')
  assert.deepEqual(Object.keys(set).sort(), members.sort())
  assert.equal(set.token_type.toLowerCase(), 'bearer')
  assert.equal(set.expires_in, 7200)
  assert.equal(set.scope, scope)
}

/** Verifies the signature against the published key set, and reads the claims of RFC 9068 §2.2. */
export async function expectClaims(set, keySetAddress, demo, { subject, name }) {
  const keys = createRemoteJWKSet(new URL(keySetAddress))
  const options = { issuer: demo.issuer, audience: demo.audience, typ: 'at+jwt', algorithms: ['RS256'] }
  const { payload, protectedHeader } = await jwtVerify(set.access_token, keys, options)
  assert.equal(protectedHeader.typ, 'at+jwt')
  assert.ok(protectedHeader.kid)
  assert.equal(payload.aud, demo.audience)
  assert.equal(payload.client_id, demo.client_id)
  assert.equal(payload.exp - payload.iat, set.expires_in)
  assert.equal(payload.scope, set.scope)
  assert.equal(payload.unique_name, name)
  assert.match(payload.sub, subject)
  assert.ok(payload.jti)
  return payload
}

/** A live token: the members of RFC 7662 §2.2 agree with the token's own claims. */
export function expectActive(found, claims) {
  const { active, token_type, username, ...members } = found
  const { unique_name, rev, ...said } = claims
  assert.deepEqual({ active, token_type, username }, { active: true, token_type: 'Bearer', username: unique_name })
  assert.deepEqual(members, said)
}

/** A dead token: exactly this. */
export function expectInactive(found) {
  assert.deepEqual({ ...found }, { active: false })
}

/** The library reports the refusal that the server wrote (RFC 6749 §5.2). */
export async function expectRefused(request, error) {
  await assert.rejects(request, (refusal) => {
    assert.equal(refusal.error, error, refusal)
    assert.equal(refusal.status, 400)
    assert.ok(refusal.error_description)
    return true
  })
}

/** The library reports the challenge that comes with a wrong secret. */
export async function expectChallenged(request) {
  await assert.rejects(request, (refusal) => {
    assert.equal(refusal.status, 401, refusal)
    const parameters = { realm: 'countersign', charset: 'UTF-8' }
    assert.deepEqual(refusal.cause, [{ scheme: 'basic', parameters }])
    return true
  })
}

// oauth4webapi (npm): a strict implementation of every RFC, one request and one response at a time.

import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import {
  close, expectActive, expectChallenged, expectClaims, expectInactive, expectRefused, expectTokenSet, readDemo, step,
} from './story.mjs'

const demo = readDemo()
const issuer = new URL(demo.issuer)
const client = { client_id: demo.client_id }
const service = { subject: new RegExp(`^${demo.client_id}$`), name: demo.client_id }
const person = { subject: /^usr_/, name: demo.username }
const options = { [oauth.allowInsecureRequests]: true, signal: () => AbortSignal.timeout(30_000) }

const methods = { client_secret_basic: oauth.ClientSecretBasic, client_secret_post: oauth.ClientSecretPost }
const documents = [
  ['oauth-authorization-server', () => oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...options })],
  ['openid-configuration', () => oauth.discoveryRequest(issuer, { algorithm: 'oidc', ...options })],
  [`${demo.api}/openid-configuration`, () => fetch(`${demo.issuer}/${demo.api}/.well-known/openid-configuration`)],
]

for (const [document, request] of documents) {
  const server = await oauth.processDiscoveryResponse(issuer, await request())
  for (const [name, method] of Object.entries(methods)) {
    console.log(`oauth4webapi, ${document}, ${name}`)
    await tell(server, method(demo.client_secret), method(`${demo.client_secret}x`))
  }
}
console.log('oauth4webapi, protected resource')
await tellOfResource()
close()

async function tell(server, secret, wrongSecret) {
  const byClientCredentials = async (parameters, proof = secret) =>
    oauth.processClientCredentialsResponse(
      server, client, await oauth.clientCredentialsGrantRequest(server, client, proof, parameters, options))
  const byPassword = async () => {
    const login = { username: demo.username, password: demo.password, scope: 'reports:read reports:write' }
    return oauth.processGenericTokenEndpointResponse(
      server, client, await oauth.genericTokenEndpointRequest(server, client, secret, 'password', login, options))
  }
  const refresh = async (token, scope) =>
    oauth.processRefreshTokenResponse(
      server, client, await oauth.refreshTokenGrantRequest(
        server, client, secret, token, { ...options, additionalParameters: scope ? { scope } : {} }))
  const introspect = async (token, proof = secret) =>
    oauth.processIntrospectionResponse(
      server, client, await oauth.introspectionRequest(server, client, proof, token, options))
  const revoke = async (token, proof = secret) =>
    oauth.processRevocationResponse(await oauth.revocationRequest(server, client, proof, token, options))
  const claimsOf = (set, who) => expectClaims(set, server.jwks_uri, demo, who)
  // This library's validation of access tokens by a resource server (RFC 9068 §4).
  const judge = (token, audience = demo.audience) => {
    const request = new Request(demo.audience, { headers: { authorization: `Bearer ${token}` } })
    return oauth.validateJwtAccessToken(server, request, audience, options)
  }

  await step('a service asks for itself, its token lives, and is revoked', async () => {
    const set = await byClientCredentials({ scope: 'reports:write reports:read' })
    expectTokenSet(set, { scope: 'reports:read reports:write' })
    expectActive(await introspect(set.access_token), await claimsOf(set, service))
    await revoke(set.access_token)
    expectInactive(await introspect(set.access_token))
    await revoke(set.access_token)
  })

  await step('the token is a JWT access token by RFC 9068, for its audience only', async () => {
    const set = await byClientCredentials({})
    const claims = await judge(set.access_token)
    assert.deepEqual([claims.iss, claims.sub, claims.scope], [demo.issuer, demo.client_id, 'all'])
    await assert.rejects(judge(set.access_token, 'https://elsewhere'), /unexpected JWT "aud"/)
    const [header, payload, signature] = set.access_token.split('.')
    const swapped = (signature[9] === 'A' ? 'B' : 'A')
    const forged = signature.slice(0, 9) + swapped + signature.slice(10)
    await assert.rejects(judge(`${header}.${payload}.${forged}`), /signature verification failed/)
  })

  await step('a person asks by password, refreshes, and narrows the scope', async () => {
    const first = await byPassword()
    expectTokenSet(first, { scope: 'reports:read reports:write', refreshable: true })
    await claimsOf(first, person)
    await judge(first.access_token)
    const second = await refresh(first.refresh_token, 'reports:read')
    expectTokenSet(second, { scope: 'reports:read', refreshable: true })
    expectActive(await introspect(second.access_token), await claimsOf(second, person))
    await expectRefused(refresh(second.refresh_token, 'all'), 'invalid_scope')
    expectTokenSet(await refresh(second.refresh_token), { scope: 'reports:read reports:write', refreshable: true })
  })

  await step('a refresh is repeated, and after its successor was used it ends the family', async () => {
    const first = await byPassword()
    const second = await refresh(first.refresh_token)
    assert.equal((await refresh(first.refresh_token)).refresh_token, second.refresh_token)
    const third = await refresh(second.refresh_token)
    await expectRefused(refresh(first.refresh_token), 'invalid_grant')
    await expectRefused(refresh(third.refresh_token), 'invalid_grant')
    expectInactive(await introspect(first.access_token))
    expectInactive(await introspect(second.access_token))
  })

  await step('a revoked refresh token is inactive, and so are its access tokens', async () => {
    const set = await byPassword()
    assert.equal((await introspect(set.refresh_token)).active, true)
    await revoke(set.refresh_token)
    expectInactive(await introspect(set.refresh_token))
    expectInactive(await introspect(set.access_token))
  })

  await step('the wrong secret is challenged at every endpoint', async () => {
    await expectChallenged(byClientCredentials({}, wrongSecret))
    await expectChallenged(introspect('x', wrongSecret))
    await expectChallenged(revoke('x', wrongSecret))
  })
}

async function tellOfResource() {
  await step('the resource describes itself, and its challenge leads there (RFC 9728)', async () => {
    const resource = new URL(demo.audience)
    const response = await oauth.resourceDiscoveryRequest(resource, options)
    const described = await oauth.processResourceDiscoveryResponse(resource, response)
    assert.deepEqual(described.authorization_servers, [demo.issuer])
    assert.deepEqual(described.scopes_supported, demo.scopes)
    const address = new URL(`${demo.audience}/whoami`)
    const call = oauth.protectedResourceRequest('x', 'GET', address, undefined, undefined, options)
    await assert.rejects(call, (refusal) => {
      const { scheme, parameters } = refusal.cause[0]
      assert.deepEqual([refusal.status, scheme, parameters.error], [401, 'bearer', 'invalid_token'])
      const well_known = `${demo.issuer}/.well-known/oauth-protected-resource/resource`
      assert.equal(parameters.resource_metadata, well_known)
      return true
    })
  })
}

// openid-client (npm): a certified client, configured by discovery only.

import assert from 'node:assert/strict'
import * as client from 'openid-client'
import {
  close, expectActive, expectChallenged, expectClaims, expectInactive, expectRefused, expectTokenSet, readDemo, step,
} from './story.mjs'

const demo = readDemo()
const service = { subject: new RegExp(`^${demo.client_id}$`), name: demo.client_id }
const person = { subject: /^usr_/, name: demo.username }
const login = { username: demo.username, password: demo.password }

const methods = {
  client_secret_basic: client.ClientSecretBasic,
  client_secret_post: client.ClientSecretPost,
}
const documents = [
  ['the issuer by oauth-authorization-server', demo.issuer, 'oauth2', '/oauth2/token'],
  ['the issuer by openid-configuration', demo.issuer, 'oidc', '/oauth2/token'],
  [
    "the API's own document",
    `${demo.issuer}/${demo.api}/.well-known/openid-configuration`, 'oidc', `/OAuth2/Token/${demo.api}`,
  ],
]

for (const [document, address, algorithm, tokenPath] of documents) {
  for (const [name, method] of Object.entries(methods)) {
    console.log(`openid-client, ${document}, ${name}`)
    const discover = (secret) =>
      client.discovery(new URL(address), demo.client_id, undefined, method(secret), {
        algorithm,
        execute: [client.allowInsecureRequests],
      })
    await tell(await discover(demo.client_secret), await discover(`${demo.client_secret}x`), name, tokenPath)
  }
}
close()

async function tell(server, stranger, method, tokenPath) {
  const metadata = server.serverMetadata()
  const claimsOf = (set, who) => expectClaims(set, metadata.jwks_uri, demo, who)
  const introspect = (token) => client.tokenIntrospection(server, token)
  const byPassword = () => client.genericGrantRequest(server, 'password', login)

  await step('the document names the issuer, the endpoints and the method', () => {
    assert.equal(metadata.issuer, demo.issuer)
    assert.equal(metadata.token_endpoint, demo.issuer + tokenPath)
    assert.ok(metadata.token_endpoint_auth_methods_supported.includes(method))
    assert.ok(metadata.introspection_endpoint_auth_methods_supported.includes(method))
    assert.ok(metadata.revocation_endpoint_auth_methods_supported.includes(method))
    const grants = ['client_credentials', 'password', 'refresh_token']
    assert.deepEqual([...metadata.grant_types_supported].sort(), grants)
  })

  await step('a service asks for itself, its token lives, and is revoked', async () => {
    const set = await client.clientCredentialsGrant(server, { scope: 'reports:read' })
    expectTokenSet(set, { scope: 'reports:read' })
    expectActive(await introspect(set.access_token), await claimsOf(set, service))
    await client.tokenRevocation(server, set.access_token, { token_type_hint: 'access_token' })
    expectInactive(await introspect(set.access_token))
  })

  await step('a resource is named, and another is refused', async () => {
    const set = await client.clientCredentialsGrant(server, { resource: demo.audience })
    expectTokenSet(set, { scope: 'all' })
    await expectRefused(client.clientCredentialsGrant(server, { resource: 'https://elsewhere' }), 'invalid_target')
    await expectRefused(client.clientCredentialsGrant(server, { scope: 'reports:delete' }), 'invalid_scope')
  })

  await step('a person asks by password, and refreshes', async () => {
    const first = await byPassword()
    expectTokenSet(first, { scope: 'all', refreshable: true })
    const before = await claimsOf(first, person)
    expectActive(await introspect(first.access_token), before)
    const second = await client.refreshTokenGrant(server, first.refresh_token)
    expectTokenSet(second, { scope: 'all', refreshable: true })
    assert.notEqual(second.refresh_token, first.refresh_token)
    const after = await claimsOf(second, person)
    assert.deepEqual([after.sub, after.auth_time], [before.sub, before.auth_time])
    await expectRefused(client.genericGrantRequest(server, 'password', { ...login, password: 'no' }), 'invalid_grant')
  })

  await step('a refresh is repeated, and after its successor was used it ends the family', async () => {
    const first = await byPassword()
    const second = await client.refreshTokenGrant(server, first.refresh_token)
    const again = await client.refreshTokenGrant(server, first.refresh_token)
    assert.equal(again.refresh_token, second.refresh_token, 'as after an answer that was lost')
    const third = await client.refreshTokenGrant(server, second.refresh_token)
    await expectRefused(client.refreshTokenGrant(server, first.refresh_token), 'invalid_grant')
    await expectRefused(client.refreshTokenGrant(server, third.refresh_token), 'invalid_grant')
    expectInactive(await introspect(third.access_token))
  })

  await step('a refresh token is introspected, and revoked with its access tokens', async () => {
    const set = await byPassword()
    const found = await introspect(set.refresh_token)
    assert.deepEqual([found.active, found.client_id, found.aud], [true, demo.client_id, demo.audience])
    await client.tokenRevocation(server, set.refresh_token, { token_type_hint: 'refresh_token' })
    expectInactive(await introspect(set.refresh_token))
    expectInactive(await introspect(set.access_token))
    await expectRefused(client.refreshTokenGrant(server, set.refresh_token), 'invalid_grant')
  })

  await step('the wrong secret is challenged at every endpoint', async () => {
    await expectChallenged(client.clientCredentialsGrant(stranger))
    await expectChallenged(client.tokenIntrospection(stranger, 'x'))
    await expectChallenged(client.tokenRevocation(stranger, 'x'))
  })
}

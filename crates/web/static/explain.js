// What the words of OAuth mean, for people who meet them here for the first time.

/** @typedef {{ means: string, change: string }} Explanation */

/** @type {Record<string, Explanation>} */
const CODES = {
  invalid_client: {
    means: "The server does not know this client, or it is disabled, or its secret is wrong, expired or not valid yet. It never says which: that would help who guesses.",
    change: "See that the client is active; compare Username and Password in Settings with it, and store the secret again.",
  },
  invalid_grant: {
    means: "What was presented as proof does not count: a wrong user or password, a user with a second factor, or a refresh token that is unknown, expired or already used.",
    change: "Type the name and password again. A person with a one-time code cannot use this grant at all. A refresh token that was used is good for half a minute more, until the next one is used: ask for a new token set.",
  },
  invalid_scope: {
    means: "A scope is malformed, unknown to this Api, or not one that this client may ask for.",
    change: "Untick the scope that the message names (or tick one, if none is granted by default), or let an administrator entitle the client to it.",
  },
  unauthorized_client: {
    means: "The client is known, but may not use this grant, or may not ask for tokens of this Api.",
    change: "Choose the other flow or another Api, or let an administrator entitle the client.",
  },
  unsupported_grant_type: {
    means: "This server has no such grant.",
    change: "Choose one of the flows in the list.",
  },
  invalid_target: {
    means: "The Api that the request names is unknown, or the request leaves open which of several is meant (RFC 8707).",
    change: "Choose another Api, or correct the Application ID in Settings.",
  },
  invalid_request: {
    means: "The request lacks something, has something twice, or is not formed as RFC 6749 says. An unknown Api in the address is told so, too.",
    change: "Correct what the message names; check the Application ID in Settings.",
  },
  temporarily_unavailable: {
    means: "The server is overloaded, or does not know whether what it knows is still true. Then it refuses rather than guesses.",
    change: "Wait a little and try again. Nothing was issued.",
  },
  too_many_attempts: {
    means: "There were too many wrong passwords, codes or secrets. For a user name, devices that have not signed in before wait longer after each one. This slows down guessing.",
    change: "Wait, then try again with the right answer.",
  },
  user_locked: {
    means: "There were 100 wrong passwords in a row for this user name. Waiting does not help.",
    change: "Ask an administrator to unlock it: countersign user unlock NAME.",
  },
  insufficient_scope: {
    means: "The token is good, but none of its scopes opens this method on this path (RFC 6750 §3.1).",
    change: "Tick a scope that opens it, and get a new token.",
  },
  invalid_token: {
    means: "The API does not accept the token: it is expired, revoked, damaged, or meant for another audience. The API never says which (RFC 6750 §3.1).",
    change: "Look at “Does it hold?” for the reason, and get a new token.",
  },
  sign_in_needed: {
    means: "Your session has ended: by time, by a sign-out in another tab, or by a new password.",
    change: "Sign in again. Where somebody ended the session, the tokens asked for in it are revoked; where its time was over, they live on until they expire.",
  },
  wrong_answer: {
    means: "The answer is wrong. The server does not say whether the name, the password or the code was.",
    change: "Try again.",
  },
  xsrf: {
    means: "The call did not carry the proof that this very page made it. This stops other sites from acting in your name.",
    change: "Reload the page. If it goes on, allow cookies for this site.",
  },
  not_allowed: {
    means: "You are signed in, but this is for administrators.",
    change: "Ask an administrator, or sign in as one.",
  },
  bad_request: {
    means: "A value is missing or not of the right form.",
    change: "Correct what the message names.",
  },
  conflict: {
    means: "Somebody changed the same thing since this page read it.",
    change: "Load what is stored now, and make your change again.",
  },
  not_found: { means: "There is nothing of that name, or not any more.", change: "Reload the page." },
  wrong_method: { means: "The address does not take this method.", change: "Reload the page." },
  too_large: { means: "More was sent than the server reads.", change: "Shorten it." },
  unreachable: {
    means: "The playground could not reach the token endpoint.",
    change: "Check that the issuer's address can be reached from the server, then try again.",
  },
  server_error: {
    means: "Something went wrong on the server's side. It says no more here than it should; its log says everything.",
    change: "Try again. If it goes on, look for the request id in the log.",
  },
  network: {
    means: "No answer came. The server may have stopped, or the network between may be down.",
    change: "Check that the server runs, then try again.",
  },
};

/**
 * @param {string} code
 * @returns {Explanation}
 */
export const explainCode = (code) => CODES[code] ?? CODES.server_error;

/** @type {Record<string, string>} */
const CLAIMS = {
  iss: "Issuer: who issued the token. An API accepts only its own authorization server here (RFC 7519 §4.1.1).",
  sub: "Subject: for whom the token speaks. With Client Creds the client itself; with Resource Owner the person's stable id.",
  aud: "Audience: the API that the token is for. Any other API must refuse it, so that one API cannot use a token at the next (RFC 9068 §2.2).",
  exp: "Expiry: from this moment on the token must not be accepted. There is no grace.",
  iat: "Issued at: when the token was made. exp − iat is expires_in.",
  nbf: "Not before: the token must not be accepted before this moment.",
  auth_time: "When the subject last proved who it is. With a refreshed token this is older than iat.",
  jti: "Token id: this one token's name, by which it can be revoked and found in logs.",
  scope: "What the token opens, as names. The API maps each to methods and paths.",
  client_id: "The client that asked for the token. With Resource Owner it is not the subject.",
  unique_name: "The subject's name for people: client_id or login name.",
  rev: "Ours: the number of the last change before the token was issued, the same for its user (0 without one), and its refresh family. Whatever takes away a right that the token uses has a higher number and ends it, so no list of tokens is needed.",
  active: "Whether the token lives now: signed by this server, in its time, and not revoked (RFC 7662 §2.2).",
  username: "The subject's name for people, in introspection.",
  token_type: "How the token is used. Bearer: who holds it may use it, so it is a secret.",
};

/** @param {string} name */
export const explainClaim = (name) => CLAIMS[name] ?? "A claim of this issuer's own; no standard says what it means.";

/** Claims and members whose number is a moment. */
export const MOMENTS = ["exp", "iat", "nbf", "auth_time"];

/** @type {Record<string, string>} */
const MEMBERS = {
  access_token: "The key to the API: a signed JWT. Who holds it may use it, so treat it as a secret.",
  token_type: "Bearer: send it as “Authorization: Bearer …” (RFC 6750 §2.1).",
  expires_in: "Seconds from its issue until no API takes it any more.",
  scope: "What was granted; it may be less than what was asked for.",
  refresh_token: "Good once, for the next token set, without the password. It never goes to an API.",
};

/** @param {string} name */
export const explainMember = (name) => MEMBERS[name] ?? "A member that RFC 6749 does not name.";

/** @type {Record<string, string>} */
const JOSE = {
  alg: "Algorithm of the signature. The API takes it from the key it knows, never from here.",
  typ: "Type: at+jwt marks an access token, so that no other JWT passes for one (RFC 9068 §2.1).",
  kid: "Key id: which of the issuer's public keys verifies the signature; they are at /oauth2/jwks.",
};

/** @param {string} name */
export const explainJose = (name) => JOSE[name] ?? "A header parameter of RFC 7515.";

/** @type {Record<string, string>} */
const REQUEST = {
  authorization: "Basic: base64 of client_id:client_secret. So the client proves who it is (RFC 6749 §2.3.1).",
  "content-type": "A form, never JSON (RFC 6749 §4).",
  accept: "The answer is JSON.",
  grant_type: "By what right the token is asked for.",
  scope: "What the token shall open; the server may refuse it, or grant less.",
  resource: "The API that the token is for (RFC 8707).",
  username: "The person's name, in the client's hands.",
  password: "The person's password, in the client's hands. This is why the grant is deprecated.",
  client_id: "Who asks.",
  client_secret: "The client's proof.",
};

/** @param {string} name */
export const explainRequest = (name) => REQUEST[name.toLowerCase()] ?? "";

/** @type {Record<string, [string, string]>} */
const CHECKS = {
  signature: ["Signature", "Made by a key of this issuer? Without this check anybody could write a token."],
  issuer: ["Issuer", "Is iss this server? A key says who signed; iss says for which server it speaks."],
  audience: ["Audience", "Is aud an Api of this server? A token for one API must open no other."],
  time: ["Time", "Is it now between iat and exp? A stolen token is worth something only until then."],
  revocation: ["Revocation", "Has the token, its family, its client or its user been ended before its time?"],
};

/**
 * A check's name for people, and what it asks and why.
 * @param {string} check
 */
export const explainCheck = (check) => CHECKS[check] ?? [check, ""];

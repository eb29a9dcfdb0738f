// Explanations of OAuth terms for beginners.

/** @typedef {{ means: string, change: string }} Explanation */

/** @type {Record<string, Explanation>} */
const CODES = {
  invalid_client: {
    means: "The client is unknown or disabled, or its secret is wrong, expired or not valid yet. The server never says which, because that would help an attacker.",
    change: "Check that the client is enabled and that Username and Password in Settings are correct, and store the secret again.",
  },
  invalid_grant: {
    means: "The credentials are invalid: a wrong user name or password, a user with a second factor, or a refresh token that is unknown, expired or already used.",
    change: "Enter the user name and password again. Users with a second factor cannot use this grant. A used refresh token works again only for a short time, until the new one is used. After that, request a new token set.",
  },
  invalid_scope: {
    means: "A scope is malformed, unknown to this API, or not allowed for this client.",
    change: "Deselect the scope that the message names. If the client has no default scope, select one. An administrator can also allow the scope for this client.",
  },
  unauthorized_client: {
    means: "The client is known, but may not use this grant or this API.",
    change: "Choose another flow or API, or ask an administrator to allow it for the client.",
  },
  unsupported_grant_type: {
    means: "The server does not support this grant.",
    change: "Choose one of the flows in the list.",
  },
  invalid_target: {
    means: "The API in the request is unknown, or the client can use several APIs and the request does not say which (RFC 8707).",
    change: "Choose another API, or correct the Application ID in Settings.",
  },
  invalid_request: {
    means: "A parameter is missing, duplicated or malformed (RFC 6749), or the API in the URL is unknown.",
    change: "Correct the parameter that the message names, and check the Application ID in Settings.",
  },
  temporarily_unavailable: {
    means: "The server is overloaded, or cannot reach its database.",
    change: "Wait a moment, then try again.",
  },
  too_many_attempts: {
    means: "There were too many wrong passwords, codes or secrets. Devices that are unknown to the user must wait longer after each failure. This slows down guessing.",
    change: "Wait, then try again with the right value.",
  },
  too_many_tokens: {
    means: "The client has reached its limit of tokens per minute or per day.",
    change: "Wait for the next minute or day. An administrator can raise the limit: countersign client update CLIENT",
  },
  user_locked: {
    means: "There were 100 wrong passwords in a row for this user name. Waiting does not unlock it.",
    change: "Ask an administrator to run: countersign user unlock NAME",
  },
  insufficient_scope: {
    means: "The token is valid, but none of its scopes allows this method and path (RFC 6750 §3.1).",
    change: "Select a scope that allows it, and get a new token.",
  },
  invalid_token: {
    means: "The API refused the token, because it is expired, revoked, malformed, or for another audience. The API never says which (RFC 6750 §3.1).",
    change: "See “Is this token valid?” for the reason, and get a new token.",
  },
  sign_in_needed: {
    means: "Your session has ended: it expired, you signed out in another tab, or your password changed.",
    change: "Sign in again. If it was ended early, its last 100 tokens were revoked. If it expired, they stay valid until they expire.",
  },
  wrong_answer: {
    means: "The name, the password or the code is wrong. The server does not say which.",
    change: "Try again.",
  },
  xsrf: {
    means: "The call did not include the XSRF token of this page. This check prevents other sites from acting in your name.",
    change: "Reload the page. If that does not help, allow cookies for this site.",
  },
  not_allowed: {
    means: "You are signed in, but only administrators can do this.",
    change: "Ask an administrator, or sign in as one.",
  },
  bad_request: {
    means: "A value is missing or malformed.",
    change: "Correct the value that the message names.",
  },
  conflict: {
    means: "Someone changed the settings after this page loaded them.",
    change: "Load the stored settings, and make your change again.",
  },
  not_found: { means: "It does not exist, or was deleted.", change: "Reload the page." },
  wrong_method: { means: "The URL does not support this method.", change: "Reload the page." },
  too_large: { means: "The request is too large.", change: "Shorten it." },
  unreachable: {
    means: "The playground could not reach the token endpoint.",
    change: "Check that the server can reach the issuer's URL, then try again.",
  },
  server_error: {
    means: "Something went wrong on the server. Its log has the details.",
    change: "Try again. If that does not help, search the log for the request ID.",
  },
  network: {
    means: "There was no response. The server or the network may be down.",
    change: "Check that the server is running, then try again.",
  },
};

/**
 * @param {string} code
 * @returns {Explanation}
 */
export const explainCode = (code) => CODES[code] ?? CODES.server_error;

/** @type {Record<string, string>} */
const CLAIMS = {
  iss: "Issuer: who issued the token. An API only accepts tokens from its own authorization server (RFC 9068 §4).",
  sub: "Subject: who the token represents. For Client Creds, this is the client itself. For Resource Owner, it is the user's permanent ID.",
  aud: "Audience: the API that the token is for. All other APIs must refuse it, so that one API cannot use the token to call another (RFC 9068 §2.2).",
  exp: "Expiration time: the token is invalid from this time on, without any leeway.",
  iat: "Issued at: when the token was created. exp − iat is expires_in.",
  nbf: "Not before: the token is invalid before this time.",
  auth_time: "When the subject last authenticated. For a refreshed token, this is earlier than iat.",
  jti: "Token ID: identifies this token for revocation and in logs.",
  scope: "The names of the granted scopes. The API maps each of them to methods and paths.",
  client_id: "The client that requested the token. For Resource Owner, it is not the subject.",
  unique_name: "The subject's human-readable name: the client_id or the login name.",
  rev: "Revision, a claim of Countersign: the number of the last change before the token was issued, the same number again if the token has a user (otherwise 0), and the refresh family. A later change that removes a right invalidates the token, so the server needs no list of tokens.",
  active: "Whether the token is active: signed by this server, not expired, and not revoked (RFC 7662 §2.2).",
  username: "The subject's human-readable name, returned by introspection.",
  token_type: "How the token is used. Bearer: anyone who has it can use it, so treat it as a secret.",
};

/** @param {string} name */
export const explainClaim = (name) => CLAIMS[name] ?? "A claim of this issuer. No standard defines it.";

/** Claims and members that contain a time. */
export const MOMENTS = ["exp", "iat", "nbf", "auth_time"];

/** @type {Record<string, string>} */
const MEMBERS = {
  access_token: "The token for the API, a signed JWT. Anyone who has it can use it, so treat it as a secret.",
  token_type: "Bearer: send it as “Authorization: Bearer …” (RFC 6750 §2.1).",
  expires_in: "The lifetime of the token in seconds.",
  scope: "The granted scopes. They may be fewer than the requested ones.",
  refresh_token: "Gets the next token set once, without the password. Never send it to an API.",
};

/** @param {string} name */
export const explainMember = (name) => MEMBERS[name] ?? "A member that RFC 6749 does not define.";

/** @type {Record<string, string>} */
const JOSE = {
  alg: "The signature algorithm. The API uses the algorithm of the key, and never trusts this value.",
  typ: "Type: at+jwt identifies an access token, so that no other JWT can be used as one (RFC 9068 §2.1).",
  kid: "Key ID: which of the issuer's public keys verifies the signature. They are published at /oauth2/jwks.",
};

/** @param {string} name */
export const explainJose = (name) => JOSE[name] ?? "A header parameter defined in RFC 7515.";

/** @type {Record<string, string>} */
const REQUEST = {
  authorization: "Basic: client_id:client_secret in base64. It authenticates the client (RFC 6749 §2.3.1).",
  "content-type": "A form, never JSON (RFC 6749 §4).",
  accept: "The response is JSON.",
  grant_type: "The OAuth grant being used.",
  scope: "The requested scopes. The server may grant fewer, or refuse the request.",
  resource: "The API that the token is for (RFC 8707).",
  username: "The user's name, which the client sees.",
  password: "The user's password, which the client sees. This is why the grant is deprecated.",
  client_id: "The client that makes the request.",
  client_secret: "The client's secret.",
};

/** @param {string} name */
export const explainRequest = (name) => REQUEST[name.toLowerCase()] ?? "";

/** @type {Record<string, [string, string]>} */
const CHECKS = {
  signature: ["Signature", "Did a key of this issuer sign the token? Without this check, anyone could create a token."],
  issuer: ["Issuer", "Is iss this server? The key shows who signed the token, and iss shows for which server."],
  audience: ["Audience", "Is aud an API of this server? A token for one API must not work for another."],
  time: ["Time", "Is the current time between iat and exp? A stolen token only works until it expires."],
  revocation: ["Revocation", "Was the token revoked, or its refresh family, its client or its user?"],
};

/**
 * Returns a check's title, and what it checks and why.
 * @param {string} check
 */
export const explainCheck = (check) => CHECKS[check] ?? [check, ""];

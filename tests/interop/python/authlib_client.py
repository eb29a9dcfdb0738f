"""Authlib (PyPI) over requests: the client, and its validation of access tokens by RFC 9068."""

import json
import sys
import traceback
from contextlib import contextmanager

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc6750.errors import InsufficientScopeError, InvalidTokenError
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc.jwk import KeySet

METHODS = ["client_secret_basic", "client_secret_post"]
TIMEOUT_S = 30
counts = {"passed": 0, "failed": 0}


def main(demo):
    issuer = demo["issuer"]
    documents = [
        get_well_known_url(issuer, external=True),
        get_well_known_url(issuer, external=True, suffix="openid-configuration"),
        f"{issuer}/{demo['api']}/.well-known/openid-configuration",
    ]
    for document in documents:
        metadata = AuthorizationServerMetadata(get(document))
        for method in METHODS:
            print(f"Authlib, {document.removeprefix(issuer)}, {method}")
            tell(demo, metadata, method)
    print(f"{counts['passed']} passed, {counts['failed']} failed")
    return 0 if counts["passed"] and not counts["failed"] else 1


def tell(demo, metadata, method):
    def session(secret=demo["client_secret"]):
        methods = {"token_endpoint_auth_method": method, "revocation_endpoint_auth_method": method}
        return OAuth2Session(demo["client_id"], secret, default_timeout=TIMEOUT_S, **methods)

    def by_client_credentials(**parameters):
        return session().fetch_token(token_endpoint, grant_type="client_credentials", **parameters)

    def by_password():
        return session().fetch_token(token_endpoint, username=demo["username"], password=demo["password"])

    def refresh(token, **parameters):
        return session().refresh_token(token_endpoint, token, **parameters)

    def introspect(token):
        answer = session().introspect_token(metadata["introspection_endpoint"], token=token)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def revoke(token, hint):
        answer = session().revoke_token(metadata["revocation_endpoint"], token=token, token_type_hint=hint)
        assert answer.status_code == 200, answer.text

    token_endpoint = metadata["token_endpoint"]
    judge = Judge(demo, metadata)

    with step("the metadata document is what Authlib requires"):
        check_metadata(demo, metadata, method)

    with step("a service gets a token, which is active, and revokes it"):
        token = by_client_credentials(scope="reports:read")
        check_token_set(token, "reports:read", refreshable=False)
        check_active(introspect(token["access_token"]), judge.claims(token["access_token"], "reports:read"))
        revoke(token["access_token"], "access_token")
        assert introspect(token["access_token"]) == {"active": False}

    with step("the token is a JWT access token by RFC 9068, only for its audience, issuer and scope"):
        token = by_client_credentials(scope="reports:read")["access_token"]
        claims = judge.claims(token, "reports:read")
        assert claims.header["typ"] == "at+jwt" and claims.header["alg"] == "RS256", claims.header
        assert claims["sub"] == claims["client_id"] == claims["unique_name"] == demo["client_id"]
        assert claims["exp"] - claims["iat"] == 7200
        with raises(InsufficientScopeError):
            judge.claims(token, "reports:write")
        with raises(InvalidTokenError):
            Judge({**demo, "audience": "https://elsewhere"}, metadata).claims(token, "reports:read")
        with raises(InvalidTokenError):
            Judge({**demo, "issuer": "https://elsewhere"}, metadata).claims(token, "reports:read")

    with step("a user's token set is requested by password, and refreshed"):
        first = by_password()
        check_token_set(first, "all", refreshable=True)
        before = judge.claims(first["access_token"], "all")
        assert before["sub"].startswith("usr_") and before["unique_name"] == demo["username"]
        second = refresh(first["refresh_token"])
        check_token_set(second, "all", refreshable=True)
        assert second["refresh_token"] != first["refresh_token"]
        after = judge.claims(second["access_token"], "all")
        assert (after["sub"], after["auth_time"]) == (before["sub"], before["auth_time"])
        check_active(introspect(second["access_token"]), after)

    with step("a refresh is retried, and reuse after its successor was used ends the family"):
        first = by_password()
        second = refresh(first["refresh_token"])
        assert refresh(first["refresh_token"])["refresh_token"] == second["refresh_token"]
        third = refresh(second["refresh_token"])
        with refused("invalid_grant"):
            refresh(first["refresh_token"])
        with refused("invalid_grant"):
            refresh(third["refresh_token"])
        assert introspect(second["access_token"]) == {"active": False}

    with step("a refresh token is introspected, and revoked with its access tokens"):
        token = by_password()
        found = introspect(token["refresh_token"])
        assert found["active"] and found["client_id"] == demo["client_id"], found
        revoke(token["refresh_token"], "refresh_token")
        assert introspect(token["refresh_token"]) == {"active": False}
        assert introspect(token["access_token"]) == {"active": False}

    with step("refusals have the right error codes"):
        with refused("invalid_scope"):
            by_client_credentials(scope="reports:delete")
        with refused("invalid_target"):
            by_client_credentials(resource="https://elsewhere")
        with refused("invalid_grant"):
            session().fetch_token(token_endpoint, username=demo["username"], password="no")
        with refused("invalid_client"):
            session(demo["client_secret"] + "x").fetch_token(token_endpoint, grant_type="client_credentials")

    with step("a session calls the resource with its token"):
        caller = session()
        caller.fetch_token(token_endpoint, grant_type="client_credentials", resource=demo["audience"])
        answer = caller.get(demo["audience"] + "/whoami")
        assert answer.status_code == 200 and answer.json()["sub"] == demo["client_id"], answer.text


class Judge(JWTBearerTokenValidator):
    """Authlib's resource server: it fetches the key set, and checks signature, type and claims."""

    def __init__(self, demo, metadata):
        super().__init__(demo["issuer"], demo["audience"])
        self.keys_address = metadata["jwks_uri"]

    def get_jwks(self):
        return KeySet.import_key_set(get(self.keys_address))

    def claims(self, token, scope):
        claims = self.authenticate_token(token)
        self.validate_token(claims, [scope], request=None)
        return claims


def check_metadata(demo, metadata, method):
    assert metadata["issuer"] == demo["issuer"]
    # Without an authorization endpoint there is no response type; RFC 8414 requires the member, and Authlib one in it.
    assert metadata["response_types_supported"] == []
    AuthorizationServerMetadata({**metadata, "response_types_supported": ["none"]}).validate()
    for endpoint in ["token", "introspection", "revocation"]:
        assert method in metadata[f"{endpoint}_endpoint_auth_methods_supported"]
    assert sorted(metadata["grant_types_supported"]) == ["client_credentials", "password", "refresh_token"]


def check_token_set(token, scope, refreshable):
    # Authlib adds `expires_at`.
    members = {"access_token", "token_type", "expires_in", "scope", "expires_at"}
    assert set(token) == members | ({"refresh_token"} if refreshable else set()), sorted(token)
    assert (token["token_type"], token["expires_in"], token["scope"]) == ("Bearer", 7200, scope)


def check_active(found, claims):
    said = {name: value for name, value in claims.items() if name not in ["rev", "unique_name"]}
    added = {"active": True, "token_type": "Bearer", "username": claims["unique_name"]}
    assert found == {**said, **added}, found


def get(address):
    answer = requests.get(address, timeout=TIMEOUT_S)
    answer.raise_for_status()
    return answer.json()


@contextmanager
def step(name):
    """A group of steps. Prints one line, passed or failed. The next groups always run."""
    try:
        yield
        counts["passed"] += 1
        print(f"  ok      {name}")
    except Exception:
        counts["failed"] += 1
        print(f"  FAILED  {name}")
        traceback.print_exc()


@contextmanager
def raises(expected):
    try:
        yield
    except expected:
        return
    raise AssertionError(f"no {expected.__name__}")


@contextmanager
def refused(error):
    try:
        yield
    except OAuthError as refusal:
        assert refusal.error == error and refusal.description, refusal
        return
    raise AssertionError(f"not refused as {error}")


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        sys.exit(main(json.load(file)))

"""Schemathesis (PyPI): requests generated from both OpenAPI documents, and whether the responses are as documented."""

import json
import subprocess
import sys
from pathlib import Path

import requests

TIMEOUT_S = 30
# A run of the admin API has about 2,000 requests.
EXAMPLES = "15"
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "ignored_auth",
]
# A wrong `If-Match` is found before a wrong body.
CONFIGURATION = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 409, 412, 413, 415, 421, 429, 503]
"""
# They would end the credentials of this run.
ENDING_ADMIN = ["/keys/{id}/revoke", "/revocations", "/clients/{id}/secrets/{secret}"]
ENDING_SESSION = ["/auth/out", "/auth/beginAuth", "/auth/advanceAuth", "/account/changePassword", "/account/endSession"]


def main(demo, operator):
    issuer = demo["issuer"]
    admin = [f"[auth.openapi.admin-api]\nbearer = {json.dumps(admin_token(issuer, operator))}\n"]
    failed = run(f"{issuer}/admin/v1/openapi.json", admin, ENDING_ADMIN)
    failed |= run(f"{issuer}/api/openapi.json", signed_in(issuer, demo), ENDING_SESSION)
    return int(failed)


def run(document, authentication, excluded):
    """True if a response was not as documented."""
    directory = Path(sys.argv[1]).parent
    directory.joinpath("schemathesis.toml").write_text(CONFIGURATION + "".join(authentication))
    command = [sys.executable, "-m", "schemathesis.cli", "run", document, "--no-color", "--continue-on-failure"]
    command += ["--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing", "--warnings", "off"]
    command += ["--max-examples", EXAMPLES, "--generation-deterministic", "--request-timeout", str(TIMEOUT_S)]
    for path in excluded:
        command += ["--exclude-path", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=directory)
    lines = done.stdout.splitlines()
    shown = lines if done.returncode else lines[-12:]
    print(f"schemathesis, {document}", *shown, done.stderr, sep="\n")
    return done.returncode != 0


def admin_token(issuer, operator):
    form = {"grant_type": "client_credentials", "resource": f"{issuer}/admin"}
    auth = (operator["client_id"], operator["client_secret"])
    return requests.post(f"{issuer}/oauth2/token", data=form, auth=auth, timeout=TIMEOUT_S).json()["access_token"]


def signed_in(issuer, demo):
    """The cookies and the header of a browser that has signed in."""
    session = requests.Session()
    call = lambda path, body: session.post(
        f"{issuer}/api/{path}",
        json=body,
        headers={"x-xsrf-token": session.cookies.get("XSRF-TOKEN")},
        timeout=TIMEOUT_S,
    ).json()["Result"]
    session.get(f"{issuer}/api/getUISettings", timeout=TIMEOUT_S)
    begun = call("auth/beginAuth", {"User": demo["username"], "Version": "1.0"})
    mechanism = begun["Challenges"][0]["Mechanisms"][0]["MechanismId"]
    step = {"SessionId": begun["SessionId"], "TenantId": begun["TenantId"], "MechanismId": mechanism}
    call("auth/advanceAuth", step | {"Action": "Answer", "Answer": demo["password"]})
    pair = session.cookies.get("XSRF-TOKEN")
    keys = {"session": session.cookies.get("cs_session"), "xsrfCookie": pair, "xsrf": pair}
    return [f"[auth.openapi.{name}]\napi_key = {json.dumps(key)}\n" for name, key in keys.items()]


if __name__ == "__main__":
    file = Path(sys.argv[1])
    read = lambda name: json.loads(file.with_name(name).read_text())
    sys.exit(main(read(file.name), read("operator.json")))

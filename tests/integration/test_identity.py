"""Identity on the deployed stack: log-in and sessions, API keys, users and the audit, the first admin, rotation."""

import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
import pytest

from tests.integration import secret_texts
from tests.integration.conftest import Api, Elsewhere, Json, People, Stack, a_key, bearer, problem
from weir.identity.roles import SCOPES


def test_a_log_in_gives_tokens_that_nobody_keeps(anonymous: Api, people: People) -> None:
    # Given a member
    member = people()
    # When they log in
    credentials = {"username": member.user["username"].upper(), "password": member.password}
    answer = anonymous("POST", "/auth/login", credentials)
    # Then there are tokens, which no cache is to keep, and which say who they are
    told = answer.json()
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert (told["token_type"], told["must_change_password"]) == ("Bearer", False)
    me = anonymous("GET", "/auth/me", **bearer(told["access_token"])).json()
    assert me["user_id"] == member.user["user_id"]
    assert set(me["scopes"]) == SCOPES["member"]
    assert me["credential"] == "token"
    assert "password" not in json.dumps(me).replace("must_change_password", "")


def test_a_refresh_token_is_good_once_and_a_second_use_ends_the_family(anonymous: Api, people: People) -> None:
    # Given a session that was refreshed
    login = people().login
    first = login.refresh_token
    second = anonymous("POST", "/auth/refresh", {"refresh_token": first})
    assert second.status_code == 200, second.text
    third = anonymous("POST", "/auth/refresh", {"refresh_token": second.json()["refresh_token"]}).json()
    # When an old token comes again
    problem(anonymous("POST", "/auth/refresh", {"refresh_token": first}), 401)
    # Then the newest is dead too
    problem(anonymous("POST", "/auth/refresh", {"refresh_token": third["refresh_token"]}), 401)


def test_a_changed_password_ends_all_other_sessions(anonymous: Api, people: People) -> None:
    # Given a member who is logged in twice
    member = people()
    other = anonymous("POST", "/auth/login", {"username": member.user["username"], "password": member.password}).json()
    # When they change their password in one of them
    new = f"{uuid.uuid4()}"
    wrong = {"current_password": "not the password", "new_password": new}
    assert problem(member("POST", "/auth/password", wrong), 422)["errors"][0]["field"] == "current_password"
    changed = member("POST", "/auth/password", {"current_password": member.password, "new_password": new})
    assert changed.status_code == 200, changed.text
    # Then the other is over, the old password opens nothing, and the new tokens and the new password do
    problem(anonymous("POST", "/auth/refresh", {"refresh_token": other["refresh_token"]}), 401)
    problem(anonymous("POST", "/auth/login", {"username": member.user["username"], "password": member.password}), 401)
    member.login.take(changed.json())
    assert member("GET", "/auth/me").status_code == 200
    again = anonymous("POST", "/auth/login", {"username": member.user["username"], "password": new})
    assert again.status_code == 200


@pytest.mark.parametrize("password", ["short", "password1234", "x" * 257, "same-as-the-name"])
def test_a_password_that_is_no_good_is_refused(people: People, password: str) -> None:
    member = people()
    new = f"my name is {member.user['username']}!" if password == "same-as-the-name" else password
    answer = member("POST", "/auth/password", {"current_password": member.password, "new_password": new})
    assert problem(answer, 422)["errors"][0]["field"] == "new_password"


def test_who_was_given_a_password_must_change_it_first(api: Api, anonymous: Api) -> None:
    # Given a user whose password an admin had made for them
    made = api("POST", "/users", {"username": f"it-{uuid.uuid4().hex[:12]}", "roles": ["operator"]}).json()
    try:
        answer = anonymous("POST", "/auth/login", {"username": made["username"], "password": made["password"]})
        token = bearer(answer.json()["access_token"])
        assert answer.json()["must_change_password"] is True
        # When they try what their role allows, Then they may only look at themselves and change the password
        told = problem(anonymous("GET", "/runs", **token), 403)
        assert told["type"].endswith("/password-change-needed")
        assert anonymous("GET", "/auth/me", **token).json()["scopes"] == []
        new = {"current_password": made["password"], "new_password": str(uuid.uuid4())}
        changed = anonymous("POST", "/auth/password", new, **token)
        assert changed.status_code == 200, changed.text
        assert anonymous("GET", "/runs", **bearer(changed.json()["access_token"])).status_code == 200
    finally:
        assert api("DELETE", f"/users/{made['user_id']}").status_code == 204


def test_nobody_registers_where_that_is_not_allowed(anonymous: Api) -> None:
    asked = {"username": f"it-{uuid.uuid4().hex[:12]}", "password": str(uuid.uuid4())}
    problem(anonymous("POST", "/auth/register", asked), 403)
    problem(anonymous("POST", "/auth/login", asked), 401)


@pytest.mark.local_only
def test_guesses_are_slowed_down_and_the_owner_is_not_kept_out(elsewhere: Elsewhere, people: People) -> None:
    # Given a member, and the device on which they have logged in before
    member, owner, attacker = people(), elsewhere(1), elsewhere(2)
    right = {"username": member.user["username"], "password": member.password}
    device = owner("POST", "/auth/login", right).json()["device"]
    within_one_minute()
    # When somebody guesses at their password, and at that of nobody
    for username in (member.user["username"], f"nobody-{uuid.uuid4().hex[:8]}"):
        guess = {"username": username, "password": "a guess of a password"}
        answers = [attacker("POST", "/auth/login", guess) for _ in range(7)]
        # Then the same few guesses are taken, and the next ones are put off
        assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
        problem(answers[-1], 429)
    # And the owner logs in, at home, and even from where the attacker is, who can't with the right password
    problem(attacker("POST", "/auth/login", right), 429)
    for place in (owner, attacker):
        assert place("POST", "/auth/login", {**right, "device": device}).status_code == 200


def within_one_minute() -> None:
    """Wait for the next minute where this one is nearly over: guesses are counted by the minute."""
    left = 60 - time.time() % 60
    if left < 20:
        time.sleep(left + 0.5)


def test_a_key_does_what_it_may_until_it_is_revoked(anonymous: Api, people: People) -> None:
    # Given an operator's key for reading runs
    owner = people("operator")
    key = a_key(owner, scopes=["runs:read"], expires_in=3600)
    sent = bearer(key["secret"])
    # When it is used, Then it does that, and nothing else
    assert anonymous("GET", "/runs", **sent).status_code == 200
    me = anonymous("GET", "/auth/me", **sent).json()
    assert (me["scopes"], me["credential"], me["credential_id"]) == (["runs:read"], "key", key["key_id"])
    problem(anonymous("POST", "/runs", {"load": {"records": 10}}, **sent), 403)
    for method, path in (
        ("GET", "/api-keys"),
        ("POST", "/api-keys"),
        ("POST", f"/api-keys/{key['key_id']}/rotate"),
        ("DELETE", f"/api-keys/{key['key_id']}"),
        ("POST", "/auth/logout"),
    ):
        problem(anonymous(method, path, {"name": "another"} if method == "POST" else None, **sent), 403)
    # And its secret is never shown again
    listed = owner("GET", "/api-keys")
    assert key["secret"] not in listed.text
    assert key["key_id"] in listed.text


def test_a_key_never_holds_more_than_its_owner(people: People) -> None:
    # Given a member, When they ask for a key that may write, Then that is refused by its field
    member = people()
    asked = {"name": "too much", "scopes": ["runs:write"]}
    assert "scopes" in problem(member("POST", "/api-keys", asked), 422)["errors"][0]["field"]
    # And one with all they have holds nothing that is for people
    assert set(a_key(member)["scopes"]) == SCOPES["member"] - {"keys:manage"}


def test_a_rotated_key_has_another_secret(anonymous: Api, people: People) -> None:
    # Given a key, When it is rotated with some grace
    owner = people()
    key = a_key(owner)
    rotated = owner("POST", f"/api-keys/{key['key_id']}/rotate", {"grace_seconds": 600})
    # Then both secrets work
    assert rotated.status_code == 200, rotated.text
    assert rotated.json()["key_id"] == key["key_id"]
    for secret in (key["secret"], rotated.json()["secret"]):
        assert anonymous("GET", "/runs", **bearer(secret)).status_code == 200


def test_a_key_is_made_once_for_an_idempotency_key(people: People) -> None:
    # Given a request for a key that comes twice, as after a lost answer
    owner, asked = people(), {"name": "once"}
    first = owner("POST", "/api-keys", asked, Idempotency_Key="k-1")
    assert first.status_code == 201
    # Then the second does not make another, and can't show the secret again
    told = problem(owner("POST", "/api-keys", asked, Idempotency_Key="k-1"), 409)
    assert told["key_id"] == first.json()["key_id"]
    assert [key["name"] for key in owner("GET", "/api-keys").json()["items"]] == ["once"]


def test_a_user_comes_changes_and_goes_and_the_audit_tells(api: Api, people: People) -> None:
    # Given a new user
    username = f"it-{uuid.uuid4().hex[:12]}"
    made = api("POST", "/users", {"username": username, "email": f"{username}@example.com", "groups": ["ops"]})
    assert made.status_code == 201, made.text
    user, where = made.json(), made.headers["Location"]
    assert where.endswith(f"/users/{user['user_id']}")
    try:
        # Then neither name nor address can be taken again, whatever its case
        for again in ({"username": username.upper()}, {"username": f"{username}-2", "email": user["email"].upper()}):
            problem(api("POST", "/users", again), 409)
        # When two admins change the user at once, Then one of them learns of the other
        tag = api("GET", f"/users/{user['user_id']}").headers["ETag"]
        changed = api("PATCH", f"/users/{user['user_id']}", {"roles": ["publisher"]}, If_Match=tag)
        assert changed.json()["roles"] == ["publisher"]
        assert changed.headers["ETag"] != tag
        problem(api("PATCH", f"/users/{user['user_id']}", {"groups": []}, If_Match=tag), 412)
        # And the user is found by the beginning of the name
        found = api("GET", f"/users?q={username[:8]}").json()["items"]
        assert [one["roles"] for one in found if one["username"] == username] == [["publisher"]]
    finally:
        assert api("DELETE", f"/users/{user['user_id']}").status_code == 204
    # And when they are gone, the audit still tells who did what to them, and from where
    problem(api("GET", f"/users/{user['user_id']}"), 404)
    entries = audit_of(api, user["user_id"])
    assert {"user.created", "user.roles-changed", "user.deleted"} <= {one["what"] for one in entries}
    assert {one["who"] for one in entries} == {api.user["user_id"]}
    assert all(one["source_ip"] and one["request_id"] for one in entries)
    assert user["password"] not in json.dumps(entries)


def audit_of(api: Api, subject: str) -> list[Json]:
    found: list[Json] = []
    cursor: str | None = ""
    while cursor is not None:
        page = api("GET", f"/audit?limit=200&subject={subject}" + (f"&cursor={cursor}" if cursor else "")).json()
        found += page["items"]
        cursor = page["cursor"]
    return found


def test_all_users_are_listed_over_pages(api: Api, people: People) -> None:
    for _ in range(3):
        people()
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = api("GET", "/users?limit=2" + (f"&cursor={cursor}" if cursor else "")).json()
        assert len(page["items"]) <= 2
        found += [user["username"] for user in page["items"]]
        cursor = page["cursor"]
    assert found == sorted(set(found))
    assert len(found) >= 4


def test_an_admin_can_not_shut_everybody_out(api: Api) -> None:
    # Given the admin themselves, When they would take their own way in away, Then that is refused
    me = f"/users/{api.user['user_id']}"
    for patch in ({"roles": ["member"]}, {"disabled": True}):
        answer = api("PATCH", me, patch)
        assert answer.status_code in {403, 409, 422}, answer.text
    assert api("DELETE", me).status_code in {403, 409, 422}
    assert api("GET", me).json()["roles"] == ["admin"]


@pytest.mark.local_only
def test_the_first_admin_is_made_once(api: Api, deployed: Stack) -> None:
    # Given the admin that was made as the stack was deployed
    told = audit_of(api, api.user["user_id"])
    assert [one["who"] for one in told if one["what"] == "user.created"] == ["system"]
    # When CloudFormation asks for one again
    answers: list[Json] = []

    class Answers(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        event = {
            "RequestType": "Update",
            "RequestId": "r",
            "ResponseURL": f"http://127.0.0.1:{server.server_port}/answer",
            "LogicalResourceId": "FirstAdmin",
            "StackId": "s",
            "ResourceProperties": {"MustChangePassword": "true"},
        }
        name = deployed.function("FirstAdminFunction")
        invoked = deployed.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
        assert "FunctionError" not in invoked, invoked["Payload"].read()
        server.shutdown()
    # Then it is told that all is well, and nobody was made or changed
    assert [(one["Status"], one["Data"]["Made"]) for one in answers] == [("SUCCESS", "false")]
    assert audit_of(api, api.user["user_id"])[-1] == told[-1]
    assert api("GET", "/auth/me").json()["must_change_password"] is False


@pytest.mark.local_only
def test_tokens_live_through_a_rotation_of_the_signing_secret(
    api: Api, anonymous: Api, deployed: Stack, people: People
) -> None:
    # Given a log-in
    member, secrets = people(), deployed.client("secretsmanager")
    arn = deployed.outputs["SigningSecretArn"]
    before = json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])
    # When another signing secret is put in place
    secrets.rotate_secret(SecretId=arn)
    deadline = time.monotonic() + 60
    while (after := json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])) == before:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    secret_texts.remember(before["secret"], after["secret"])
    # Then what was signed before holds, and functions that have just started sign with the new one
    assert member("GET", "/auth/me").status_code == 200
    for name in ("AuthFunction", "AuthorizerFunction"):
        started_anew(deployed, deployed.function(name))
    assert member("GET", "/auth/me").status_code == 200
    fresh = anonymous("POST", "/auth/refresh", {"refresh_token": member.login.refresh_token})
    assert fresh.status_code == 200, fresh.text
    assert kid_of(member.login.access_token) == before["kid"]
    assert kid_of(fresh.json()["access_token"]) == after["kid"] != before["kid"]
    assert anonymous("GET", "/auth/me", **bearer(fresh.json()["access_token"])).status_code == 200


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def started_anew(deployed: Stack, function: str) -> None:
    """Have a function's processes replaced, as a deployment does."""
    service = deployed.client("lambda")
    variables = service.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    changed = {"Variables": {**variables, "STARTED": str(time.time())}}
    service.update_function_configuration(FunctionName=function, Environment=changed)
    service.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})

"""What ends, ends within the time stated: revoked tokens and keys, and those whose uses are counted."""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.integration import secret_texts
from tests.integration.conftest import Api, People, a_key, bearer, problem

REVOKED_WITHIN_SECONDS = 60.0
"""As docs/guides/security.md states it."""


def at_once(count: int, call: Callable[[int], httpx.Response]) -> Counter[int]:
    """The statuses of calls that begin together."""
    barrier = threading.Barrier(count)

    def one(number: int) -> int:
        barrier.wait()
        return call(number).status_code

    with ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(one, range(count)))


def log_out(user: Api, api: Api) -> None:
    assert user("POST", "/auth/logout").status_code == 200


def reuse(user: Api, api: Api) -> None:
    asked = {"refresh_token": user.login.refresh_token}
    plain = httpx.post(f"{user.http.base_url}auth/refresh", json=asked)
    assert plain.status_code == 200, plain.text
    secret_texts.remember(plain.json()["access_token"], plain.json()["refresh_token"])
    problem(httpx.post(f"{user.http.base_url}auth/refresh", json=asked), 401)


def new_password(user: Api, api: Api) -> None:
    asked = {"current_password": user.password, "new_password": str(uuid.uuid4())}
    assert user("POST", "/auth/password", asked).status_code == 200


def demote(user: Api, api: Api) -> None:
    assert api("PATCH", f"/users/{user.user['user_id']}", {"roles": ["member"]}).status_code == 200


def disable(user: Api, api: Api) -> None:
    assert api("PATCH", f"/users/{user.user['user_id']}", {"disabled": True}).status_code == 200


def reset(user: Api, api: Api) -> None:
    assert api("PATCH", f"/users/{user.user['user_id']}", {"reset_password": True}).status_code == 200


def delete(user: Api, api: Api) -> None:
    assert api("DELETE", f"/users/{user.user['user_id']}").status_code == 204


def revoke_key(user: Api, api: Api) -> None:
    for key in user("GET", "/api-keys").json()["items"]:
        assert user("DELETE", f"/api-keys/{key['key_id']}").status_code == 200


TOKEN_ENDS = {each.__name__: each for each in (log_out, reuse, new_password, demote, disable, reset, delete)}
KEY_ENDS = {each.__name__: each for each in (revoke_key, disable, delete)}
CASES = [("token", name) for name in TOKEN_ENDS] + [("key", name) for name in KEY_ENDS]


@pytest.fixture(scope="module")
def ended(api: Api, anonymous: Api, people: People) -> dict[tuple[str, str], float]:
    """For each case: how long after its end a credential was still taken, in seconds."""
    ends, held, last = {"token": TOKEN_ENDS, "key": KEY_ENDS}, {}, {}
    for kind, name in CASES:
        user = people("operator")
        credential = user.login.access_token if kind == "token" else str(a_key(user)["secret"])
        assert anonymous("GET", "/runs", **bearer(credential)).status_code == 200  # which the authorizer may keep
        ends[kind][name](user, api)
        held[kind, name] = (credential, time.monotonic())
        last[kind, name] = 0.0
    pending = dict(held)
    while pending and time.monotonic() - max(when for _, when in held.values()) < REVOKED_WITHIN_SECONDS + 5:
        for case, (credential, since) in list(pending.items()):
            asked = time.monotonic() - since
            if anonymous("GET", "/runs", **bearer(credential)).status_code == 401:
                del pending[case]
            else:
                last[case] = asked
        time.sleep(0.5)
    return last | dict.fromkeys(pending, float("inf"))


@pytest.mark.parametrize(("kind", "how"), CASES)
def test_what_has_ended_is_refused_within_the_time_stated(
    ended: dict[tuple[str, str], float], kind: str, how: str
) -> None:
    # Given a credential that the authorizer has just let in, When it is ended in one way or another
    # Then it was not taken any more after the time that the security guide states
    assert ended[kind, how] <= REVOKED_WITHIN_SECONDS


def test_other_roles_are_there_at_the_next_refresh(api: Api, people: People) -> None:
    # Given a member who may not start runs
    user = people("member")
    problem(user("POST", "/runs/sources"), 403)
    # When they become an operator, and refresh their tokens
    changed = api("PATCH", f"/users/{user.user['user_id']}", {"roles": ["member", "operator"]})
    assert changed.status_code == 200
    fresh = httpx.post(f"{user.http.base_url}auth/refresh", json={"refresh_token": user.login.refresh_token})
    user.login.take(fresh.json())
    secret_texts.remember(user.login.access_token, user.login.refresh_token)
    # Then they may
    assert user("POST", "/runs/sources").status_code == 201


def test_a_token_with_ten_uses_lets_ten_of_a_hundred_in(anonymous: Api, people: People) -> None:
    # Given a token that is good for ten requests
    member = people()
    asked = {"username": member.user["username"], "password": member.password, "max_uses": 10, "expires_in": 600}
    tokens = anonymous("POST", "/auth/login", asked).json()
    assert tokens["refresh_token"] is None
    # When a hundred come at once
    statuses = at_once(100, lambda _: anonymous("GET", "/runs?limit=1", **bearer(tokens["access_token"])))
    # Then ten get in
    assert statuses == {200: 10, 401: 90}
    problem(anonymous("GET", "/runs", **bearer(tokens["access_token"])), 401)


def test_a_key_with_ten_uses_lets_ten_of_a_hundred_in(anonymous: Api, people: People) -> None:
    # Given a key that is good for ten requests
    owner = people()
    key = a_key(owner, max_uses=10)
    # When a hundred come at once
    statuses = at_once(100, lambda _: anonymous("GET", "/runs?limit=1", **bearer(key["secret"])))
    # Then ten get in, and that is what the key tells
    assert statuses == {200: 10, 401: 90}
    (told,) = [one for one in owner("GET", "/api-keys").json()["items"] if one["key_id"] == key["key_id"]]
    assert (told["uses"], told["max_uses"], told["status"]) == (10, 10, "used_up")


def test_of_twenty_refreshes_at_once_one_wins_and_then_the_family_is_dead(anonymous: Api, people: People) -> None:
    # Given one refresh token in twenty hands
    presented = {"refresh_token": people().login.refresh_token}
    answers: list[httpx.Response] = []

    def refresh(_: int) -> httpx.Response:
        answers.append(anonymous("POST", "/auth/refresh", presented))
        return answers[-1]

    # When all use it at once
    statuses = at_once(20, refresh)
    # Then one got tokens, and what it got is dead, for the others have shown that the token was in other hands
    assert statuses == {200: 1, 401: 19}
    (won,) = [answer.json() for answer in answers if answer.status_code == 200]
    problem(anonymous("POST", "/auth/refresh", {"refresh_token": won["refresh_token"]}), 401)

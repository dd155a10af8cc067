"""Log-in by a provider on the deployed stack, over HTTP: a provider that others have written, real conditional writes.

On the local AWS alone, for the provider listens on this machine's loopback.
"""

import base64
import hashlib
import json
import secrets
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from local.stack import PARAMETERS
from tests.integration import secret_texts
from tests.integration.conftest import PATIENCE_SECONDS, Api, Json, Stack
from tests.unit.identity.oauth.mock_provider import mock_provider, say_no, say_yes

pytestmark = pytest.mark.local_only

(CLIENT, REDIRECT_URI), (OTHER, OTHERS_URI) = (one.split("=") for one in PARAMETERS["OAuthClients"].split())
VERIFIER = secrets.token_urlsafe(48)
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
STATE = "the application's own state"
COOKIE = "__Host-weir-oauth"
AT_ONCE = 12


@dataclass(frozen=True)
class Provider:
    """The provider as the stack knows it, and who can log in there: ann is a user of the stack, nobody is none."""

    name: str
    ann: str
    nobody: str


@dataclass
class Browser:
    """Keeps the cookie, and is sent nowhere by itself."""

    http: httpx.Client
    cookie: str = ""

    def begin(self, provider: str, **wish: Any) -> httpx.Response:
        """Begin a log-in; a parameter that is None is left out."""
        asked = {
            "client_id": CLIENT,
            "redirect_uri": REDIRECT_URI,
            "state": STATE,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **wish,
        }
        query = {name: value for name, value in asked.items() if value is not None}
        return self._told(self.http.get(f"/auth/oauth/{provider}/authorize", params=query))

    def come_back(self, provider: str, query: dict[str, str]) -> httpx.Response:
        """Come to the callback."""
        headers = {"Cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {}
        return self.http.get(f"/auth/oauth/{provider}/callback", params=query, headers=headers)

    def approved(self, provider: Provider, subject: str) -> dict[str, str]:
        """Begin a log-in and say yes to it: what the provider sends the browser back with."""
        begun = self.begin(provider.name)
        assert begun.status_code == 302, begun.text
        query = query_of(say_yes(begun.headers["Location"], subject))
        secret_texts.remember(query["code"], query["state"])
        return query

    def _told(self, answer: httpx.Response) -> httpx.Response:
        name, _, value = answer.headers.get("Set-Cookie", "").split(";")[0].partition("=")
        if name == COOKIE:
            self.cookie = value
            secret_texts.remember(value)
        return answer


def query_of(url: str) -> dict[str, str]:
    return dict(httpx.URL(url).params)


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and kind of a problem, which sends the browser nowhere."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    assert "Location" not in answer.headers
    return answer.status_code, answer.json()["type"].rsplit("/", 1)[1]


def exchange(anonymous: Api, code: str, **changes: Any) -> httpx.Response:
    """Change a code for tokens."""
    body = {
        "grant_type": "authorization_code",
        "client_id": CLIENT,
        "code": code,
        "redirect_uri": REDIRECT_URI,
        "code_verifier": VERIFIER,
        **changes,
    }
    answer = anonymous("POST", "/auth/token", body)
    if answer.status_code == 200:
        secret_texts.remember(answer.json()["access_token"], answer.json()["refresh_token"])
    return answer


@pytest.fixture(scope="module")
def provider(deployed: Stack, api: Api, anonymous: Api) -> Iterator[Provider]:
    """A provider that runs, and that the stack knows; one of its people is a user whom an admin has made."""
    name = f"it-{uuid.uuid4().hex[:12]}"
    ann = {"sub": f"ann-{name}", "email": f"{name}@corp.example", "email_verified": True}
    nobody = {"sub": f"nobody-{name}", "email": f"nobody-{name}@corp.example", "email_verified": True}
    client_secret = secrets.token_urlsafe(24)
    secret_texts.remember(client_secret, VERIFIER)
    vault, arn = deployed.client("secretsmanager"), deployed.outputs["ProvidersSecretArn"]
    before = vault.get_secret_value(SecretId=arn)["SecretString"]
    user = api("POST", "/users", {"username": name, "email": ann["email"], "roles": ["operator"]})
    assert user.status_code == 201, user.text
    secret_texts.remember(user.json()["password"])
    with mock_provider(ann, nobody) as issuer:
        known = {"issuer": issuer, "client_id": "weir", "client_secret": client_secret}
        vault.put_secret_value(SecretId=arn, SecretString=json.dumps({**json.loads(before), name: known}))
        until_known(anonymous, name)
        yield Provider(name, str(ann["sub"]), str(nobody["sub"]))
    vault.put_secret_value(SecretId=arn, SecretString=before)
    assert api("DELETE", f"/users/{user.json()['user_id']}").status_code == 204


def until_known(anonymous: Api, name: str) -> None:
    """Wait until the function looks at the secret again, which it does when it is asked for an unknown provider."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while Browser(anonymous.http).begin(name).status_code != 302:
        assert time.monotonic() < deadline, "the function does not know the provider"
        time.sleep(1)


@pytest.fixture
def browser(anonymous: Api) -> Browser:
    return Browser(anonymous.http)


def finished(browser: Browser, provider: Provider) -> str:
    """A whole log-in: the code that the application is given."""
    done = browser.come_back(provider.name, browser.approved(provider, provider.ann))
    assert done.status_code == 302, done.text
    code = query_of(done.headers["Location"])["code"]
    secret_texts.remember(code)
    return code


def test_a_person_logs_in_by_a_provider(provider: Provider, browser: Browser, anonymous: Api, api: Api) -> None:
    # Given a person who says yes at the provider
    begun = browser.begin(provider.name)
    assert set(begun.headers["Set-Cookie"].split("; ")[1:]) == {
        *("Path=/", "Max-Age=600", "Secure", "HttpOnly", "SameSite=Lax")
    }
    query = query_of(say_yes(begun.headers["Location"], provider.ann))

    # When the browser is back, Then the application gets its state and a code, the cookie goes, and no token is seen
    done = browser.come_back(provider.name, query)
    assert done.status_code == 302, done.text
    assert done.headers["Location"].startswith(f"{REDIRECT_URI}?")
    assert "Max-Age=0" in done.headers["Set-Cookie"]
    assert set(query_of(done.headers["Location"])) == {"code", "state"}
    assert query_of(done.headers["Location"])["state"] == STATE

    # And the tokens for that code are of the user whom the admin made, with their rights
    answer = exchange(anonymous, query_of(done.headers["Location"])["code"])
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    me: Json = anonymous("GET", "/auth/me", **bearer).json()
    assert (me["username"], me["must_change_password"]) == (provider.name, False)
    assert "runs:write" in me["scopes"]
    assert anonymous("GET", "/runs", **bearer).status_code == 200

    # And they can be refreshed, once
    again = {"grant_type": "refresh_token", "refresh_token": answer.json()["refresh_token"]}
    fresh = anonymous("POST", "/auth/token", again)
    assert fresh.status_code == 200, fresh.text
    secret_texts.remember(fresh.json()["access_token"], fresh.json()["refresh_token"])
    assert (anonymous("POST", "/auth/token", again)).json()["error"] == "invalid_grant"

    # And the audit tells of the link and the log-in
    told = api("GET", "/audit?limit=200").json()["items"]
    mine = [entry["what"] for entry in told if entry["subject"] == me["user_id"]]
    assert {"user.provider-linked", "login.done", "session.refreshed-twice"} <= set(mine)


def test_the_providers_are_told_without_what_is_secret(provider: Provider, anonymous: Api) -> None:
    answer = anonymous("GET", "/auth/providers")
    assert answer.status_code == 200
    (shown,) = [each for each in answer.json() if each["name"] == provider.name]
    assert set(shown) == {"name", "kind", "authorize_path"}


def test_who_says_no_is_sent_back_with_an_error(provider: Provider, browser: Browser) -> None:
    begun = browser.begin(provider.name).headers["Location"]
    said = {"state": query_of(begun)["state"], **query_of(say_no(begun))}
    done = browser.come_back(provider.name, said)
    assert query_of(done.headers["Location"]) == {"error": "access_denied", "state": STATE}


def test_who_is_nobody_here_is_not_let_in(provider: Provider, browser: Browser) -> None:
    came = browser.approved(provider, provider.nobody)
    assert problem(browser.come_back(provider.name, came)) == (403, "not-a-user")


def test_a_state_that_is_wrong_or_anothers_is_refused(provider: Provider, browser: Browser, anonymous: Api) -> None:
    # Given a log-in of one browser
    came = browser.approved(provider, provider.ann)

    # Then neither another state, nor another browser, nor one without a cookie finishes it
    assert problem(browser.come_back(provider.name, {**came, "state": "x" * 43})) == (400, "bad-oauth-state")
    other = Browser(anonymous.http)
    assert problem(other.come_back(provider.name, came)) == (400, "bad-oauth-state")
    other.begin(provider.name)
    assert problem(other.come_back(provider.name, came)) == (400, "bad-oauth-state")

    # And its own does, once
    assert browser.come_back(provider.name, came).status_code == 302
    assert problem(browser.come_back(provider.name, came)) == (400, "bad-oauth-state")


def test_of_many_who_come_back_at_once_one_gets_a_code(provider: Provider, browser: Browser) -> None:
    came = browser.approved(provider, provider.ann)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: browser.come_back(provider.name, came), range(AT_ONCE)))
    assert sorted(answer.status_code for answer in answers) == [302] + [400] * (AT_ONCE - 1)


def test_of_many_who_change_a_code_at_once_one_gets_tokens(
    provider: Provider, browser: Browser, anonymous: Api
) -> None:
    code = finished(browser, provider)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: exchange(anonymous, code), range(AT_ONCE)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * (AT_ONCE - 1)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"client_id": "somebody"}, "invalid_client"),
        ({"client_id": OTHER, "redirect_uri": OTHERS_URI}, "invalid_grant"),
        ({"client_id": OTHER}, "invalid_grant"),
        ({"redirect_uri": OTHERS_URI}, "invalid_grant"),
        ({"redirect_uri": f"{REDIRECT_URI}/"}, "invalid_grant"),
        ({"code_verifier": secrets.token_urlsafe(48)}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
    ],
    ids=["nobody's", "another client's", "another client", "another's address", "address", "verifier", "no verifier"],
)
def test_a_code_is_good_with_all_that_belongs_to_it(
    provider: Provider, browser: Browser, anonymous: Api, changed: Json, error: str
) -> None:
    code = finished(browser, provider)
    refused = exchange(anonymous, code, **changed)
    assert (problem(refused), refused.json()["error"]) == ((400, "grant-refused"), error)
    assert exchange(anonymous, code).status_code == 200


@pytest.mark.parametrize(
    "uri", [None, "https://evil.example/", f"{REDIRECT_URI}.evil.example", f"{REDIRECT_URI}?a=b", OTHERS_URI]
)
def test_nobody_is_sent_to_an_address_that_is_not_the_clients(
    provider: Provider, browser: Browser, uri: str | None
) -> None:
    assert problem(browser.begin(provider.name, redirect_uri=uri)) == (400, "unknown-oauth-client")
    assert problem(browser.begin(provider.name, redirect_uri=uri, code_challenge=None))[0] == 400


@pytest.mark.parametrize("wish", [{"code_challenge": None}, {"code_challenge_method": "plain"}], ids=["none", "plain"])
def test_without_pkce_nothing_is_begun(provider: Provider, browser: Browser, wish: Json) -> None:
    begun = browser.begin(provider.name, **wish)
    assert query_of(begun.headers["Location"])["error"] == "invalid_request"
    assert "Set-Cookie" not in begun.headers


def test_a_provider_that_is_not_set_up_is_a_404(browser: Browser) -> None:
    assert problem(browser.begin("nobody")) == (404, "unknown-provider")


def test_a_provider_that_is_down_is_a_502(deployed: Stack, anonymous: Api, browser: Browser) -> None:
    # Given a provider whose address nobody listens at
    name = f"it-{uuid.uuid4().hex[:12]}"
    vault, arn = deployed.client("secretsmanager"), deployed.outputs["ProvidersSecretArn"]
    before = vault.get_secret_value(SecretId=arn)["SecretString"]
    down = {"issuer": "http://127.0.0.1:1", "client_id": "weir", "client_secret": secrets.token_urlsafe(24)}
    vault.put_secret_value(SecretId=arn, SecretString=json.dumps({**json.loads(before), name: down}))
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (answer := browser.begin(name)).status_code == 404 and time.monotonic() < deadline:
            time.sleep(1)
        # Then the browser is told so, and sent nowhere
        assert problem(answer) == (502, "provider-failed")
    finally:
        vault.put_secret_value(SecretId=arn, SecretString=before)

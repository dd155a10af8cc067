"""A stack's log-in by providers, with its application, its providers as real servers, and browsers."""

import base64
import hashlib
import importlib.util
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from http.cookies import SimpleCookie
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.unit.identity.accounts import ORIGIN, Recorded, Time, audited, dynamodb
from tests.unit.identity.oauth.provider import CLIENT_ID, CLIENT_SECRET, Corp, Hub, Server, serving
from weir.identity import oauth, oauth_clients, oauth_wiring, tokens
from weir.identity.github import GitHub
from weir.identity.keyring import Keyring
from weir.identity.models import User
from weir.identity.oauth import OAuth, Return
from weir.identity.oidc import Oidc
from weir.identity.outbound import Web
from weir.identity.providers import Providers
from weir.identity.user_store import Users
from weir.identity.wiring import Deps
from weir.runtime import settings
from weir.runtime.dynamodb import Table
from weir.runtime.errors import WeirError

ROOT = Path(__file__).parents[4]
CONSOLE, CLI = "https://console.example/callback", "http://127.0.0.1:8753/callback"
CLIENTS = f"console={CONSOLE} console=https://console.example/other?tab=1 cli={CLI}"
VERIFIER = "a-verifier-of-the-application-0123456789-abcdefgh"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ENVIRONMENT = {
    "REGION": "eu-west-1",
    "IDENTITY_TABLE": "identity",
    "SIGNING_SECRET_ARN": "arn:signing",
    "PROVIDERS_SECRET_ARN": "arn:providers",
    "TOKEN_ISSUER": "https://weir.example",
}
SIGNING = json.dumps({"kid": "1", "secret": "a signing secret for tests, and for nothing else"})
Json = dict[str, Any]
Answer = Json


class Context:
    """As much of the Lambda context as the handler uses."""

    function_name = "oauth"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:oauth"
    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

    def get_remaining_time_in_millis(self) -> int:
        return 25_000


@lru_cache(maxsize=1)
def handler() -> ModuleType:
    """The handler, loaded as Lambda loads it."""
    spec = importlib.util.spec_from_file_location("oauth_handler", ROOT / "functions/oauth/handler.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def call(name: str, path: dict[str, str] | None = None, **changes: Any) -> Answer:
    """What the handler answers to a sample event, with other path, ``query``, ``cookie`` or ``body``."""
    event = json.loads((ROOT / "events" / f"oauth-{name}.json").read_text())
    if path is not None:
        event["pathParameters"] = path
        event["path"] = event["resource"].format(**path)
        event["requestContext"]["path"] = f"/v1{event['path']}"
    if "query" in changes:
        query = {key: value if isinstance(value, list) else [value] for key, value in changes["query"].items()}
        event["multiValueQueryStringParameters"] = query
        event["queryStringParameters"] = {key: values[-1] for key, values in query.items()}
    if "cookie" in changes:
        lines = changes["cookie"] if isinstance(changes["cookie"], list) else [changes["cookie"]]
        event["headers"]["Cookie"] = lines[-1] if lines else None
        event["multiValueHeaders"]["Cookie"] = lines
    if "body" in changes:
        event["body"] = json.dumps(changes["body"])
    answer: Answer = handler().handler(event, Context())
    answer["json"] = json.loads(answer["body"]) if "json" in header(answer, "Content-Type") else None
    return answer


def header(answer: Answer, name: str) -> str:
    """The one value of a header of an answer; nothing where it has none."""
    values = answer["multiValueHeaders"].get(name, [""])
    assert len(values) == 1
    return str(values[0])


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def problem(answer: Answer) -> tuple[int, str]:
    """Status and kind of a problem, which sends the browser nowhere."""
    assert header(answer, "Content-Type") == "application/problem+json"
    assert "Location" not in answer["multiValueHeaders"]
    assert answer["json"]["status"] == answer["statusCode"]
    return answer["statusCode"], answer["json"]["type"].rsplit("/", 1)[1]


@dataclass
class Browser:
    """Keeps the cookies that it is given, and follows where it is sent."""

    cookies: dict[str, str] = field(default_factory=dict)

    def begin(self, provider: str = "corp", **query: Any) -> Answer:
        """Begin a log-in as the console would; a parameter that is None is left out."""
        wish = {
            "client_id": "console",
            "redirect_uri": CONSOLE,
            "state": "the console's own state",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **query,
        }
        sent = {name: value for name, value in wish.items() if value is not None}
        return self._told(call("authorize", {"provider": provider}, query=sent))

    def come_back(self, provider: str, **query: Any) -> Answer:
        """Come to the callback with a query, as a provider sends one there."""
        cookie = [f"{name}={value}" for name, value in self.cookies.items()]
        return self._told(call("callback", {"provider": provider}, query=query, cookie=cookie))

    def _told(self, answer: Answer) -> Answer:
        jar = SimpleCookie(header(answer, "Set-Cookie"))
        for name, morsel in jar.items():
            self.cookies[name] = morsel.value
            if morsel["max-age"] == "0":
                del self.cookies[name]
        return answer


@dataclass
class World:
    """Everything."""

    corp: Corp
    hub: Hub
    client: Recorded
    time: Time
    oauth: OAuth

    @property
    def given(self) -> list[Json]:
        """To whom tokens were given, as the audit tells it."""
        return [entry for entry in audited(self.client) if entry["what"] == "login.done"]

    def finish_at_once(self, *came: tuple[dict[str, str], Browser]) -> list[str | WeirError]:
        """Come back to the callback in threads: where each is sent, or what it is refused for.

        Below the handler, which Lambda never calls twice at the same time in one process.
        """

        def finish(one: tuple[dict[str, str], Browser]) -> str | WeirError:
            query, browser = one
            returned = Return(query["state"], query["code"])
            try:
                return oauth.finish("corp", returned, browser.cookies["__Host-weir-oauth"], ORIGIN, self.oauth)
            except WeirError as error:
                return error

        with ThreadPoolExecutor(len(came)) as pool:
            return list(pool.map(finish, came))

    def nobody_is_in(self) -> bool:
        """No code was given out, no account linked, no token made."""
        kept = self.client.scan(TableName="identity")["Items"]
        return not audited(self.client) and not any(item["sk"]["S"] == "CODE" for item in kept)

    def owner(self, answer: Answer) -> User:
        """The user whose the tokens of an answer are."""
        assert answer["statusCode"] == 200, answer["body"]
        conf, now = self.oauth.deps.settings, self.time.clock.now()
        text = answer["json"]["access_token"]
        claims = tokens.verify_access(text, self.oauth.deps.keyring, conf.token_issuer, conf.token_audience, now)
        found = self.users.get(claims.sub)
        assert found is not None
        return found

    @property
    def users(self) -> Users:
        return self.oauth.deps.users

    def server(self, provider: str) -> Server:
        return self.hub if provider == "github" else self.corp

    def approved(self, provider: str, browser: Browser, **query: Any) -> dict[str, str]:
        """Begin a log-in, and say yes to it at the provider: what the provider sends the browser back with."""
        begun = browser.begin(provider, **query)
        assert begun["statusCode"] == 302, begun["body"]
        return query_of(self.server(provider).approve(query_of(header(begun, "Location"))))

    def logged_in(self, provider: str = "corp", browser: Browser | None = None, **query: Any) -> Answer:
        """A whole log-in, up to where the browser is sent back to the application."""
        browser = browser or Browser()
        return browser.come_back(provider, **self.approved(provider, browser, **query))

    def code(self, provider: str = "corp") -> str:
        """A code of ours, as the application gets it."""
        return query_of(header(self.logged_in(provider), "Location"))["code"]

    def settings(self, **changes: Any) -> None:
        """Have other settings from now on."""
        deps = replace(self.oauth.deps, settings=replace(self.oauth.deps.settings, **changes))
        object.__setattr__(self.oauth, "deps", deps)


def exchange(code: str | None, **changes: Any) -> Answer:
    """Change a code for tokens as the console would; what is None is left out."""
    body = {
        "grant_type": "authorization_code",
        "client_id": "console",
        "code": code,
        "redirect_uri": CONSOLE,
        "code_verifier": VERIFIER,
        **changes,
    }
    return call("token", body={name: value for name, value in body.items() if value is not None})


@contextmanager
def world() -> Iterator[World]:
    """A world in which nobody has logged in yet; its providers' and its own clock are one."""
    time, corp, hub = Time(), Corp(), Hub()
    corp.now = time.clock.epoch
    with pytest.MonkeyPatch.context() as patch, dynamodb() as client, serving(corp), serving(hub):
        for name, value in ENVIRONMENT.items():
            patch.setenv(f"WEIR_{name}", value)
        settings.forget()
        table = Table(client, "identity")
        keyring = Keyring(lambda stage: SIGNING if stage == "AWSCURRENT" else None, time.clock.monotonic)
        deps = Deps(table, Users(table), keyring, settings.settings(), time.clock)
        secret = json.dumps(
            {
                "corp": {"issuer": corp.url, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
                "github": {
                    "client_id": CLIENT_ID,
                    "client_secret": CLIENT_SECRET,
                    "base_url": hub.url,
                    "api_url": f"{hub.url}/api",
                },
            }
        )
        web = Web(time.clock.monotonic)
        wired = OAuth(
            deps,
            oauth_clients.read(CLIENTS),
            Providers(lambda: secret, time.clock.monotonic),
            {"oidc": Oidc(web, time.clock), "github": GitHub(web)},
        )
        made = World(corp, hub, client, time, wired)

        patch.setattr(oauth_wiring, "oauth", lambda: made.oauth)
        yield made

"""Logging in and staying so: who requests speak as, when a session is renewed, and what is written down."""

import io
import json
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from client import exits, sessions, weir
from client.api import Api
from client.sessions import Session, SessionFile, session_file
from client.target import Target
from tests.unit.client.answers import ok, problem

URL = "https://api.example.com/v1"
SECRETS = ("right", "refresh", "access", "weir_ann")


class Accounts:
    """The routes of identity, as far as the client uses them; tokens are numbered."""

    def __init__(self) -> None:
        self.valid: set[str] = set()
        self.refresh = ""
        self.calls: list[tuple[str, dict[str, Any], str | None]] = []
        self.issued = 0
        self.broken: dict[str, httpx.Response | Exception] = {}

    def answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.read() or b"{}")
        path = request.url.path.removeprefix("/v1")
        given = request.headers.get("Authorization")
        self.calls.append((f"{request.method} {path}", body, given))
        if path in self.broken:
            broken = self.broken[path]
            if isinstance(broken, Exception):
                raise broken
            return broken
        if path == "/auth/login":
            return self.tokens() if body["password"] == "right-password" else problem(401, "bad-credentials")
        if path == "/auth/refresh":
            return self.tokens() if body["refresh_token"] == self.refresh else problem(401, "bad-token")
        if path == "/health":
            return ok({"status": "ok"})
        if given is None or given.removeprefix("Bearer ") not in self.valid:
            return problem(401, "bad-token")
        if path == "/auth/logout":
            self.valid.clear()
            return ok({"ended": True})
        if path == "/auth/me":
            return ok({"username": "ann", "user_id": "ann2ann3ann4ann5", "roles": ["operator"], "scopes": []})
        if path == "/auth/password":
            return self.tokens()
        if path == "/api-keys" and request.method == "POST":
            return ok({"key_id": "k1", "name": body["name"], "secret": "weir_ann_k1_secret"}, 201)
        return ok({"items": [], "cursor": None})

    def tokens(self) -> httpx.Response:
        self.issued += 1
        access, self.refresh = f"access-{self.issued}", f"refresh-{self.issued}"
        self.valid = {access}
        return ok({"access_token": access, "expires_in": 900, "refresh_token": self.refresh, "device": "device-1"})

    def names(self) -> list[str]:
        return [name for name, _, _ in self.calls]


@pytest.fixture
def api() -> Accounts:
    return Accounts()


def main(api: Accounts, *arguments: str, url: str = URL, admin: tuple[str, str] | None = None) -> tuple[int, str]:
    out = io.StringIO()

    def connect(target: Target) -> Api:
        return Api(target, transport=httpx.MockTransport(api.answer), sleep=lambda _: None)

    code = weir.main(["--url", url, *arguments], Console(file=out, width=200), connect)
    return code, out.getvalue()


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def kept() -> Session:
    found = session_file(Target(URL)).load(URL)
    assert found is not None
    return found


@pytest.fixture
def logged_in(api: Accounts, monkeypatch: pytest.MonkeyPatch) -> Accounts:
    typed(monkeypatch, "right-password")
    assert main(api, "login", "ann", "--stdin")[0] == exits.PASSED
    api.calls.clear()
    return api


def test_who_logs_in_stays_so(logged_in: Accounts) -> None:
    # Given a log-in / When another command is run / Then it speaks with the token, and asks for no other
    code, told = main(logged_in, "whoami")
    assert code == exits.PASSED
    assert "ann" in told
    assert logged_in.calls == [("GET /auth/me", {}, "Bearer access-1")]


def test_what_is_kept_is_for_its_owner_alone(logged_in: Accounts, tmp_path: Path) -> None:
    # Given a session on disk / Then nobody else may read it, and the password is not in it
    path = tmp_path / "config" / "weir" / "sessions.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "right-password" not in path.read_text()
    assert not any(secret in repr(kept()) for secret in SECRETS)


def test_a_wrong_password_is_told_and_nothing_is_kept(
    api: Accounts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "wrong-password")
    assert main(api, "login", "ann", "--stdin")[0] == exits.FAILED
    assert session_file(Target(URL)).load(URL) is None
    assert "wrong-password" not in capsys.readouterr().err


def test_an_old_token_is_renewed_before_it_is_sent(logged_in: Accounts) -> None:
    # Given a session whose access token ends in a moment
    SessionFile.save(session_file(Target(URL)), URL, Session("ann", "access-1", 0.0, "refresh-1", "device-1"))
    # When a command is run / Then it was renewed first, and the new one is kept
    assert main(logged_in, "whoami")[0] == exits.PASSED
    assert logged_in.names() == ["POST /auth/refresh", "GET /auth/me"]
    assert kept().access_token == "access-2"


def test_a_token_that_is_refused_is_renewed_once(logged_in: Accounts) -> None:
    # Given a token that was revoked
    logged_in.valid.clear()
    assert main(logged_in, "whoami")[0] == exits.PASSED
    assert logged_in.names() == ["GET /auth/me", "POST /auth/refresh", "GET /auth/me"]


def test_a_session_that_is_over_says_how_to_log_in(logged_in: Accounts, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a session that the API has ended
    logged_in.valid.clear()
    logged_in.refresh = "another"
    assert main(logged_in, "whoami")[0] == exits.FAILED
    assert "weir login" in capsys.readouterr().err


def test_another_process_that_was_first_is_not_refreshed_again(logged_in: Accounts) -> None:
    # Given two commands that hold the same refused token, of which one has renewed the session
    file = session_file(Target(URL))
    transport = httpx.MockTransport(logged_in.answer)
    late = Api(Target(URL), transport=transport)
    weir.accounts.sign(late, Target(URL), {})
    assert late.signer is not None
    first = late.signer.renewed("access-1")
    # When the late one renews / Then it takes what is there: a refresh token is good once
    assert late.signer.renewed("access-1") == first == "access-2"
    assert logged_in.names() == ["POST /auth/refresh"]
    assert file.load(URL) == kept()


class Local:
    """The command line on a local stack, whose admin ``make up`` wrote down."""

    def __init__(self, api: Accounts, stack: Path) -> None:
        self.api, self._stack = api, stack
        admin = {"username": "admin", "password": "right-password"}
        stack.write_text(json.dumps({"api_url": "http://127.0.0.1:1/v1", "admin": admin}))

    def __call__(self, *arguments: str) -> int:
        def connect(target: Target) -> Api:
            return Api(target, transport=httpx.MockTransport(self.api.answer), sleep=lambda _: None)

        return weir.main(["--stack", str(self._stack), *arguments], Console(file=io.StringIO()), connect)


@pytest.fixture
def local(api: Accounts, tmp_path: Path) -> Local:
    return Local(api, tmp_path / "stack.json")


def test_the_local_admin_is_logged_in_by_itself(local: Local) -> None:
    # When a command is run twice / Then it has logged in once
    for _ in range(2):
        assert local("whoami") == exits.PASSED
    assert local.api.names() == ["POST /auth/login", "GET /auth/me", "GET /auth/me"]
    assert local.api.calls[0][1] == {"username": "admin", "password": "right-password"}


def test_nobody_is_told_to_log_in(api: Accounts, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(api, "whoami")[0] == exits.FAILED
    assert "weir login" in capsys.readouterr().err
    assert api.calls == []


def test_a_key_of_the_environment_speaks_for_itself(api: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_API_KEY", "weir_ann_k1_x")
    api.valid = {"weir_ann_k1_x"}
    assert main(api, "whoami")[0] == exits.PASSED
    assert main(api, "login", "ann", "--stdin")[0] == exits.FAILED  # a key is no person


def test_health_asks_nobody_who_they_are(api: Accounts) -> None:
    assert main(api, "health")[0] == exits.PASSED
    assert api.calls == [("GET /health", {}, None)]


def test_who_comes_again_shows_the_device(logged_in: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an earlier log-in / When the same user logs in again / Then guessers of the name can't slow them down
    typed(monkeypatch, "right-password")
    main(logged_in, "login", "ann", "--stdin")
    assert logged_in.calls[-1][1]["device"] == "device-1"


def forgotten() -> bool:
    """Whether no token is kept that the API would take; only what tells it that the device is known."""
    return kept() == Session("ann", "", 0, None, "device-1")


def test_logging_out_forgets_the_tokens_and_not_the_device(
    logged_in: Accounts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # When somebody logs out
    assert main(logged_in, "logout") == (exits.PASSED, "Logged out.\n")
    assert forgotten()
    assert "access-" not in (tmp_path / "config" / "weir" / "sessions.json").read_text()
    assert logged_in.names() == ["POST /auth/logout"]

    # Then nobody is logged in
    assert main(logged_in, "whoami")[0] == exits.FAILED
    assert len(logged_in.calls) == 1

    # And who comes again is known by the device
    typed(monkeypatch, "right-password")
    main(logged_in, "login", "ann", "--stdin")
    assert logged_in.calls[-1][1]["device"] == "device-1"


@pytest.mark.parametrize(
    "broken", [problem(500), problem(503), httpx.ConnectError("refused"), httpx.ReadError("reset")]
)
def test_logging_out_forgets_and_says_so_where_the_api_did_not_hear(
    logged_in: Accounts, capsys: pytest.CaptureFixture[str], broken: Any
) -> None:
    # Given an API that is down / When somebody logs out / Then this machine has forgotten, and tells what is left
    logged_in.broken["/auth/logout"] = broken
    code, told = main(logged_in, "logout")
    assert (code, told) == (exits.FAILED, "")
    assert forgotten()
    assert "the API did not hear" in capsys.readouterr().err


def test_logging_out_of_a_session_that_has_ended_is_no_failure(logged_in: Accounts) -> None:
    logged_in.valid.clear()
    logged_in.refresh = "another"
    assert main(logged_in, "logout")[0] == exits.PASSED
    assert forgotten()


def test_a_session_whose_access_token_is_old_is_ended_too(logged_in: Accounts) -> None:
    # Given a session that would go on by its refresh token / When its owner logs out / Then the API ends it
    session_file(Target(URL)).save(URL, Session("ann", "access-1", 0.0, "refresh-1", "device-1"))
    assert main(logged_in, "logout")[0] == exits.PASSED
    assert logged_in.names() == ["POST /auth/refresh", "POST /auth/logout"]


def test_the_local_admin_is_not_logged_in_to_be_logged_out(local: Local, capsys: pytest.CaptureFixture[str]) -> None:
    # Given nobody / When they log out / Then nobody is logged in for it
    assert local("logout") == exits.FAILED
    assert "Nobody is logged in" in capsys.readouterr().err
    assert local.api.calls == []

    # And a session of the admin that has ended is not begun anew either
    local("whoami")
    local.api.valid.clear()
    local.api.refresh = "another"
    local.api.calls.clear()
    assert local("logout") == exits.PASSED
    assert local.api.names() == ["POST /auth/logout", "POST /auth/refresh"]


LOST = [problem(500), problem(502), problem(503), problem(504), httpx.ReadTimeout("late"), httpx.ReadError("reset")]


@pytest.mark.parametrize("lost", LOST)
def test_a_refresh_whose_answer_is_lost_is_not_sent_again(
    logged_in: Accounts, capsys: pytest.CaptureFixture[str], lost: Any
) -> None:
    # Given a refresh that may have been done: the same token again would be taken for a stolen one
    logged_in.valid.clear()
    logged_in.broken["/auth/refresh"] = lost
    assert main(logged_in, "whoami")[0] == exits.FAILED
    assert logged_in.names() == ["GET /auth/me", "POST /auth/refresh"]
    told = capsys.readouterr().err
    assert "lost" in told
    assert "`weir login`" in told

    # Then it is never sent again, and what is to be done is told once more
    assert forgotten()
    assert main(logged_in, "whoami")[0] == exits.FAILED
    assert len(logged_in.calls) == 2


@pytest.mark.parametrize("lost", LOST)
def test_where_a_user_is_known_a_lost_refresh_is_a_log_in(local: Local, lost: Any) -> None:
    local("whoami")
    local.api.valid.clear()
    local.api.broken["/auth/refresh"] = lost
    local.api.calls.clear()
    assert local("whoami") == exits.PASSED
    assert local.api.names() == ["GET /auth/me", "POST /auth/refresh", "POST /auth/login", "GET /auth/me"]
    assert local.api.calls[2][1]["device"] == "device-1"


@pytest.mark.parametrize("refused", [httpx.ConnectError("refused"), httpx.ConnectTimeout("late"), problem(429)])
def test_a_refresh_that_was_surely_not_done_keeps_the_session(logged_in: Accounts, refused: Any) -> None:
    # Given an API that was not reached, or is throttled
    logged_in.valid.clear()
    logged_in.broken["/auth/refresh"] = refused
    assert main(logged_in, "whoami")[0] == exits.FAILED

    # Then the session goes on when it is back
    logged_in.broken.clear()
    assert main(logged_in, "whoami")[0] == exits.PASSED


def test_a_new_password_keeps_this_session(logged_in: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "right-password", "a new long password")
    assert main(logged_in, "password", "--stdin")[0] == exits.PASSED
    assert logged_in.calls[-1][1] == {"current_password": "right-password", "new_password": "a new long password"}
    assert kept().access_token == "access-2"


def test_a_keys_secret_is_printed_alone(logged_in: Accounts, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a key that is made / Then standard output is its secret, to be piped, and the words are elsewhere
    code, told = main(logged_in, "keys", "create", "ci", "--scope", "runs:write", "--max-uses", "10")
    assert (code, told) == (exits.PASSED, "weir_ann_k1_secret\n")
    assert logged_in.calls[-1][1] == {"name": "ci", "scopes": ["runs:write"], "max_uses": 10}
    assert "secret" in capsys.readouterr().err


def test_a_broken_file_of_sessions_is_as_none(tmp_path: Path) -> None:
    path = tmp_path / "sessions.json"
    for text in ("", "{", "[]", '{"u": 1}', '{"u": {"nobody": 1}}'):
        path.write_text(text)
        assert SessionFile(path).load("u") is None


def test_a_local_session_lies_beside_the_local_stack() -> None:
    file = session_file(Target("http://127.0.0.1:1/v1"))
    file.save("u", Session("ann", "a", 0.0))
    assert (sessions.STACK_FILE.parent / "sessions.json").exists()

"""Attacks on the browser's way: states, cookies, addresses. Each is refused, and nobody is in."""

import pytest

from tests.unit.identity.oauth.provider import Json
from tests.unit.identity.oauth.world import (
    CHALLENGE,
    CLI,
    CONSOLE,
    VERIFIER,
    Browser,
    World,
    call,
    header,
    problem,
    query_of,
)
from weir.identity.oauth_errors import BadState

pytestmark = pytest.mark.usefixtures("ann")


# ---- State ----------------------------------------------------------------------------------------------------------


def test_a_state_that_we_never_gave_is_refused(world: World, browser: Browser) -> None:
    came = world.approved("corp", browser)
    assert problem(browser.come_back("corp", **{**came, "state": "x" * 43})) == (400, "bad-oauth-state")
    assert world.corp.of("/token") == []
    assert world.nobody_is_in()


@pytest.mark.parametrize("state", [None, "", "\ud800", "x" * 100_000])
def test_a_state_that_can_be_none_is_refused(world: World, browser: Browser, state: str | None) -> None:
    came = world.approved("corp", browser)
    sent = {name: value for name, value in {**came, "state": state}.items() if value is not None}
    assert problem(browser.come_back("corp", **sent)) == (400, "bad-oauth-state")
    assert world.nobody_is_in()


def test_a_state_is_good_once(world: World, browser: Browser) -> None:
    # Given a log-in that was finished, and somebody who has the address that finished it, and the cookie
    came = world.approved("corp", browser)
    cookies = dict(browser.cookies)
    assert browser.come_back("corp", **came)["statusCode"] == 302
    browser.cookies = cookies

    # When it is opened again, Then the provider is not even asked
    assert problem(browser.come_back("corp", **came)) == (400, "bad-oauth-state")
    assert len(world.corp.of("/token")) == 1


def test_a_state_that_is_opened_many_times_at_once_lets_one_in(world: World, browser: Browser) -> None:
    came = world.approved("corp", browser)
    done = world.finish_at_once(*[(came, browser)] * 6)
    assert len([sent_to for sent_to in done if isinstance(sent_to, str)]) == 1
    assert len([refused for refused in done if isinstance(refused, BadState)]) == 5
    assert len(world.corp.of("/token")) == 1


def test_a_state_of_another_browser_is_refused_and_stays_good_for_its_own(world: World, browser: Browser) -> None:
    # Given an attacker who has begun a log-in, and sends their own way back to somebody else (log-in CSRF)
    attacker = Browser()
    came = world.approved("corp", attacker)

    # When the victim opens it, with no cookie or with one of their own
    assert problem(browser.come_back("corp", **came)) == (400, "bad-oauth-state")
    browser.begin("corp")
    assert problem(browser.come_back("corp", **came)) == (400, "bad-oauth-state")

    # Then they are not logged in as the attacker, and nobody has used up the state
    assert world.nobody_is_in()
    assert attacker.come_back("corp", **came)["statusCode"] == 302


@pytest.mark.parametrize(
    "cookie",
    [
        [],
        ["__Host-weir-oauth="],
        ["__Host-weir-oauth=short"],
        ["weir-oauth={mine}"],
        ["__Host-weir-oauth={mine}; __Host-weir-oauth=" + "x" * 43],
        ["__Host-weir-oauth={mine}", "__Host-weir-oauth={mine}"],
    ],
)
def test_a_cookie_that_is_missing_or_there_twice_is_refused(world: World, browser: Browser, cookie: list[str]) -> None:
    came = world.approved("corp", browser)
    mine = browser.cookies["__Host-weir-oauth"]
    sent = [line.replace("{mine}", mine) for line in cookie]
    assert problem(call("callback", {"provider": "corp"}, query=came, cookie=sent)) == (400, "bad-oauth-state")
    assert world.nobody_is_in()


def test_our_cookie_is_found_among_others(world: World, browser: Browser) -> None:
    came = world.approved("corp", browser)
    line = f"theme=dark; __Host-weir-oauth={browser.cookies['__Host-weir-oauth']}; a=b=c"
    assert call("callback", {"provider": "corp"}, query=came, cookie=line)["statusCode"] == 302


def test_a_state_is_over_after_ten_minutes(world: World, browser: Browser) -> None:
    came = world.approved("corp", browser)
    world.time.pass_by(600)
    assert problem(browser.come_back("corp", **came)) == (400, "bad-oauth-state")
    assert world.nobody_is_in()


def test_an_answer_of_one_provider_does_not_finish_a_log_in_at_another(world: World, browser: Browser) -> None:
    # Given a log-in begun at one provider, whose answer is brought to the callback of another (mix-up)
    came = world.approved("corp", browser)

    # Then it is refused, and the code of the one is never shown to the other
    assert problem(browser.come_back("github", **came)) == (400, "bad-oauth-state")
    assert world.hub.seen == []
    assert world.nobody_is_in()


def test_an_answer_that_names_another_issuer_is_refused(world: World, browser: Browser) -> None:
    came = world.approved("corp", browser)
    assert problem(browser.come_back("corp", **came, iss="https://evil.example")) == (400, "bad-oauth-state")
    assert world.corp.of("/token") == []
    came = world.approved("corp", browser)
    assert browser.come_back("corp", **came, iss=world.corp.url)["statusCode"] == 302


def test_a_parameter_that_stands_twice_is_refused(world: World, browser: Browser) -> None:
    came = world.approved("corp", browser)
    assert problem(browser.come_back("corp", **{**came, "code": [came["code"], "x"]})) == (422, "invalid")
    assert world.nobody_is_in()


# ---- Where the browser is sent --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        None,
        "",
        "https://evil.example/callback",
        f"{CONSOLE}/",
        f"{CONSOLE}?next=https://evil.example",
        f"{CONSOLE}#",
        f"{CONSOLE}/../evil",
        CONSOLE.replace("https", "http"),
        CONSOLE.replace("console.example", "console.example:8443"),
        CONSOLE.replace("console.example", "console.example.evil.example"),
        CONSOLE.replace("console.example", "console.example@evil.example"),
        CONSOLE.upper(),
        f" {CONSOLE}",
        f"{CONSOLE}\r\nSet-Cookie: a=b",
        CLI,
        "javascript:alert(1)",
    ],
)
def test_an_address_that_is_not_the_clients_is_never_gone_to(world: World, browser: Browser, uri: str | None) -> None:
    # Given an address that the operator did not name for this client, in a wish that is otherwise good or not
    for otherwise in ({}, {"code_challenge": None}, {"response_type": "token"}):
        # Then the browser stays, and nothing is begun
        assert problem(browser.begin("corp", redirect_uri=uri, **otherwise)) == (400, "unknown-oauth-client")
    assert "STATE" not in repr(world.client.scan(TableName="identity")["Items"])


@pytest.mark.parametrize("client_id", [None, "", "nobody", "cli", "console "])
def test_a_client_that_nobody_named_is_refused(world: World, browser: Browser, client_id: str | None) -> None:
    assert problem(browser.begin("corp", client_id=client_id)) == (400, "unknown-oauth-client")


@pytest.mark.parametrize(
    "twice",
    [
        {"client_id": ["console", "cli"]},
        {"redirect_uri": [CONSOLE, "https://evil.example/"]},
        {"code_challenge": [CHALLENGE, CHALLENGE]},
        {"state": ["one", "two"]},
    ],
)
def test_a_wish_with_a_parameter_that_stands_twice_goes_nowhere(world: World, browser: Browser, twice: Json) -> None:
    assert problem(browser.begin("corp", **twice)) == (422, "invalid")


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": VERIFIER, "code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"code_challenge": CHALLENGE[:-1]}, "invalid_request"),
        ({"code_challenge": f"{CHALLENGE}="}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code token"}, "unsupported_response_type"),
    ],
)
def test_without_pkce_nothing_is_begun_and_the_application_is_told(
    world: World, browser: Browser, wish: Json, error: str
) -> None:
    answer = browser.begin("corp", **wish)
    assert answer["statusCode"] == 302
    told = query_of(header(answer, "Location"))
    assert header(answer, "Location").startswith(f"{CONSOLE}?")
    assert (told["error"], told["state"]) == (error, "the console's own state")
    assert "Set-Cookie" not in answer["multiValueHeaders"]
    assert world.corp.seen == []


@pytest.mark.parametrize("state", [None, "", "x" * 513, "two\nlines", "ą"])
def test_a_state_of_the_application_that_can_not_come_back_as_it_is_is_refused(
    world: World, browser: Browser, state: str | None
) -> None:
    told = query_of(header(browser.begin("corp", state=state), "Location"))
    assert told["error"] == "invalid_request"
    assert "state" not in told


@pytest.mark.parametrize("provider", ["nobody", "google", "..", "CORP", "corp%2f", "x" * 99])
def test_an_unknown_provider_is_a_problem_at_both_ends(world: World, browser: Browser, provider: str) -> None:
    known_as = {404, 422}
    assert problem(browser.begin(provider))[0] in known_as
    assert problem(browser.come_back(provider, state="x" * 43, code="c"))[0] in known_as


@pytest.mark.parametrize(
    ("error", "passed_on"),
    [
        ("access_denied", "access_denied"),
        ("temporarily_unavailable", "temporarily_unavailable"),
        ("invalid_scope", "server_error"),
        ("<script>", "server_error"),
    ],
)
def test_a_providers_error_is_told_to_the_application_in_words_of_ours(
    world: World, browser: Browser, error: str, passed_on: str
) -> None:
    # Given a person who says no, or a provider that does
    state = world.approved("corp", browser)["state"]
    answer = browser.come_back("corp", state=state, error=error, error_description="<b>Enter your password</b>")

    # Then the application knows, with its state, and nothing of what the provider wrote
    assert answer["statusCode"] == 302
    assert header(answer, "Location").startswith(f"{CONSOLE}?")
    assert query_of(header(answer, "Location")) == {"error": passed_on, "state": "the console's own state"}
    # And the state is used up
    assert problem(browser.come_back("corp", state=state, code="c")) == (400, "bad-oauth-state")


def test_a_providers_error_without_our_state_goes_nowhere(world: World, browser: Browser) -> None:
    assert problem(browser.come_back("corp", error="access_denied")) == (400, "bad-oauth-state")


@pytest.mark.parametrize("name", ["state", "code", "error", "iss"])
def test_half_a_surrogate_pair_that_comes_back_is_refused(world: World, browser: Browser, name: str) -> None:
    # Given a log-in under way, and an answer with what is no text
    came = world.approved("corp", browser)
    done = browser.come_back("corp", **{**came, name: "\ud800"})

    # Then it is refused: by us, or to the application as a provider's error that it does not know
    if name == "error":
        assert query_of(header(done, "Location"))["error"] == "server_error"
    else:
        assert problem(done) == (400, "bad-oauth-state")
    assert world.nobody_is_in()


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method"])
def test_half_a_surrogate_pair_begins_nothing(world: World, browser: Browser, name: str) -> None:
    begun = browser.begin("corp", **{name: "\ud800"})
    if name in {"client_id", "redirect_uri"}:
        assert problem(begun) == (400, "unknown-oauth-client")
    else:
        assert query_of(header(begun, "Location"))["error"] == "invalid_request"

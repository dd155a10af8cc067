"""Log-in by a provider as it should be: who is let in, as whom, and what is kept of it."""

import json
from dataclasses import replace

import pytest

from tests.unit.identity.accounts import ANN, BOB, audited, stored, user
from tests.unit.identity.oauth.provider import CLIENT_ID, CLIENT_SECRET
from tests.unit.identity.oauth.world import (
    CHALLENGE,
    CLI,
    CONSOLE,
    Browser,
    World,
    call,
    exchange,
    header,
    problem,
    query_of,
)
from weir.identity.roles import scopes_of
from weir.runtime.dynamodb import Contended

CALLBACK = "https://abcde12345.execute-api.eu-west-1.amazonaws.com/v1/auth/oauth/corp/callback"


def test_the_providers_are_told_and_nothing_of_them_that_is_secret(world: World) -> None:
    answer = call("providers")
    assert answer["statusCode"] == 200
    assert answer["json"] == [
        {"name": "corp", "kind": "oidc", "authorize_path": "/v1/auth/oauth/corp/authorize"},
        {"name": "github", "kind": "github", "authorize_path": "/v1/auth/oauth/github/authorize"},
    ]


@pytest.mark.parametrize("provider", ["corp", "github"])
def test_a_person_logs_in_by_a_provider_and_the_application_gets_tokens(world: World, provider: str) -> None:
    # Given a user whom an admin has made, with the address that the provider has verified
    world.users.create(user(ANN, "ann", email="ann@corp.example"))
    world.users.create(user(BOB, "bob", email="octo@hub.example"))
    who = {"corp": "ann", "github": "bob"}[provider]

    # When they say yes at the provider
    done = world.logged_in(provider)

    # Then the browser is back at the application with the state of its own, and a code, and no token
    assert done["statusCode"] == 302
    back = header(done, "Location")
    assert back.startswith(f"{CONSOLE}?")
    assert {**query_of(back), "code": ""} == {"state": "the console's own state", "code": ""}

    # And the code is good for tokens of that user, told apart by how they logged in
    answer = exchange(query_of(back)["code"])
    assert world.owner(answer).username == who
    assert (answer["json"]["token_type"], answer["json"]["expires_in"]) == ("Bearer", 900)
    assert header(answer, "Cache-Control") == "no-store"
    assert [login["via"] for login in world.given] == [f"oauth:{provider}"]


def test_the_refresh_token_gives_the_next_pair_once(world: World) -> None:
    # Given tokens of a log-in
    world.users.create(user(email="ann@corp.example"))
    first = exchange(world.code())["json"]["refresh_token"]

    # When they are refreshed, Then there is another pair, of the same user
    again = {"grant_type": "refresh_token", "refresh_token": first}
    answer = call("token", body=again)
    assert world.owner(answer).user_id == ANN
    assert answer["json"]["refresh_token"] != first

    # And the old one is good no more
    refused = call("token", body=again)
    assert (problem(refused), refused["json"]["error"]) == ((400, "grant-refused"), "invalid_grant")


def test_a_provider_is_asked_with_state_nonce_and_pkce_of_our_own(world: World, browser: Browser) -> None:
    # When a log-in is begun
    begun = browser.begin("corp")
    sent_to = header(begun, "Location")
    asked = query_of(sent_to)

    # Then the provider is asked for a code, to our own callback, with nothing of the application's
    assert sent_to.startswith(f"{world.corp.url}/authorize?")
    fixed = {name: asked[name] for name in ("response_type", "client_id", "redirect_uri", "scope")}
    assert fixed == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": CALLBACK,
        "scope": "openid email profile",
    }
    assert asked["code_challenge_method"] == "S256"
    ours = {asked["state"], asked["nonce"], asked["code_challenge"]}
    assert all(len(one) == 43 for one in ours)
    assert not ours & {CHALLENGE, "the console's own state"}

    # And another log-in of the same browser has others
    again = query_of(header(browser.begin("corp"), "Location"))
    assert not ours & {again["state"], again["nonce"], again["code_challenge"]}


def test_the_cookie_is_of_this_host_alone_and_goes_when_the_browser_is_back(world: World, browser: Browser) -> None:
    world.users.create(user(email="ann@corp.example"))
    given = header(browser.begin("corp"), "Set-Cookie").split("; ")
    assert given[0].startswith("__Host-weir-oauth=")
    assert set(given[1:]) == {"Path=/", "Max-Age=600", "Secure", "HttpOnly", "SameSite=Lax"}
    done = world.logged_in("corp", browser)
    assert {"Max-Age=0", "Path=/", "Secure"} <= set(header(done, "Set-Cookie").split("; "))
    assert browser.cookies == {}


def test_answers_of_the_browsers_way_are_kept_nowhere(world: World, browser: Browser) -> None:
    world.users.create(user(email="ann@corp.example"))
    for answer in (browser.begin("corp"), world.logged_in("corp", browser)):
        assert header(answer, "Cache-Control") == "no-store"
        assert header(answer, "Referrer-Policy") == "no-referrer"
        assert answer["body"] == ""


def test_what_is_stored_of_a_log_in_could_not_finish_it(world: World, browser: Browser) -> None:
    # Given a log-in under way, and one with a code that waits
    world.users.create(user(email="ann@corp.example"))
    asked = query_of(header(browser.begin("corp"), "Location"))
    cookie = browser.cookies["__Host-weir-oauth"]
    code = world.code()
    verifier = world.corp.of("/token")[0].fields["code_verifier"]

    # Then the table holds neither state, cookie, nonce, verifier nor code, nor anything of the provider's
    kept = stored(world.client)
    secrets = [asked["state"], asked["nonce"], cookie, code, verifier, CLIENT_SECRET, "corp-access"]
    assert [secret for secret in secrets if secret in kept] == []
    # And each ends by itself
    items = [item for item in world.client.scan(TableName="identity")["Items"] if item["sk"]["S"] in {"STATE", "CODE"}]
    left = {item["sk"]["S"]: int(item["ttl"]["N"]) - world.time.clock.epoch() for item in items}
    assert left == {"STATE": 600, "CODE": 60}


def test_the_subject_decides_once_it_is_linked_whatever_becomes_of_the_address(world: World) -> None:
    # Given a user who was found by their address
    world.users.create(user(ANN, "ann", email="ann@corp.example"))
    world.logged_in("corp")

    # When the address is another user's, and the provider tells of it still, or of none
    ann = world.users.get(ANN)
    assert ann is not None
    world.users.change(ann, replace(ann, email=None))
    world.users.create(user(BOB, "bob", email="ann@corp.example"))
    told = exchange(world.code())
    world.corp.person = {"sub": "corp-7"}
    untold = exchange(world.code())

    # Then it is the same user
    assert [world.owner(answer).user_id for answer in (told, untold)] == [ANN, ANN]


def test_a_link_is_audited_once(world: World) -> None:
    world.users.create(user(email="ann@corp.example"))
    world.logged_in("corp")
    world.logged_in("corp")
    linked = {"what": "user.provider-linked", "who": ANN, "subject": ANN, "provider": "corp"}
    assert audited(world.client) == [linked]


@pytest.mark.parametrize("claimed", [None, False, "false", 1, "yes"])
def test_an_address_that_is_not_verified_finds_nobody(world: World, claimed: object) -> None:
    # Given an admin's user, and somebody at the provider who claims their address
    world.users.create(user(email="ann@corp.example"))
    world.corp.person["email_verified"] = claimed

    # Then they are nobody here, and nothing is linked
    assert problem(world.logged_in("corp")) == (403, "not-a-user")
    assert audited(world.client) == []


@pytest.mark.parametrize(
    "emails",
    [
        [{"email": "octo@hub.example", "primary": True, "verified": False}],
        [{"email": "octo@hub.example", "primary": False, "verified": True}],
        [{"email": ["octo@hub.example"], "primary": True, "verified": True}],
        [],
    ],
)
def test_githubs_address_counts_only_where_it_is_primary_and_verified(world: World, emails: list[object]) -> None:
    world.users.create(user(email="octo@hub.example"))
    world.hub.answers["/api/user/emails"] = 200, json.dumps(emails).encode()
    assert problem(world.logged_in("github")) == (403, "not-a-user")


def test_a_name_at_github_that_another_took_over_is_another_user(world: World) -> None:
    # Given a user known by the number of their account
    world.users.create(user(ANN, "ann", email="octo@hub.example"))
    world.logged_in("github")

    # When somebody else has the name now
    world.hub.user = {"id": 99, "login": "OctoCat"}
    world.hub.emails = []

    # Then they are not that user
    assert problem(world.logged_in("github")) == (403, "not-a-user")


@pytest.mark.parametrize("linked", [False, True])
def test_a_disabled_user_is_nobody(world: World, linked: bool) -> None:
    world.users.create(user(email="ann@corp.example"))
    if linked:
        world.logged_in("corp")
    ann = world.users.get(ANN)
    assert ann is not None
    world.users.change(ann, replace(ann, disabled=True))
    assert problem(world.logged_in("corp")) == (403, "not-a-user")


def test_nobody_is_made_where_people_do_not_register(world: World) -> None:
    refused = world.logged_in("corp")
    assert problem(refused) == (403, "not-a-user")
    assert "USER#" not in stored(world.client)


def test_where_people_register_a_member_is_made_once_and_never_more(world: World) -> None:
    # Given a stack that lets people register, and a provider that tells of roles
    world.settings(self_registration=True)
    world.corp.claims = {"roles": ["admin"], "groups": ["admins"], "preferred_username": "Ann O'Nym"}

    # When somebody unknown logs in, twice
    first, second = (world.owner(exchange(world.code())) for _ in range(2))

    # Then they are one user, a member and nothing else
    assert first.user_id == second.user_id
    assert (first.username, first.email, first.roles, first.groups) == (
        "ann-o-nym",
        "ann@corp.example",
        ("member",),
        (),
    )
    assert first.password_hash is None
    assert "users:write" not in scopes_of(first.roles)
    assert sorted(entry["what"] for entry in audited(world.client)) == ["login.done", "login.done", "user.registered"]


def test_of_many_first_log_ins_at_once_one_makes_the_user(world: World) -> None:
    # Given a person who is nobody yet, and logs in by several browsers at once
    world.settings(self_registration=True)
    browsers = [Browser() for _ in range(5)]
    came = [world.approved("corp", browser) for browser in browsers]
    done = world.finish_at_once(*zip(came, browsers, strict=True))

    # Then all of them are the same user, made once
    codes = [query_of(str(sent_to))["code"] for sent_to in done]
    assert len({world.owner(exchange(code)).user_id for code in codes}) == 1
    assert [entry["what"] for entry in audited(world.client) if entry["what"] != "login.done"] == ["user.registered"]
    assert stored(world.client).count("'NAME#") == 1


def test_of_many_first_log_ins_at_once_one_links_the_user(world: World) -> None:
    world.users.create(user(email="ann@corp.example"))
    browsers = [Browser() for _ in range(5)]
    came = [world.approved("corp", browser) for browser in browsers]
    done = world.finish_at_once(*zip(came, browsers, strict=True))
    assert all("code=" in str(sent_to) for sent_to in done)
    assert [entry["what"] for entry in audited(world.client)] == ["user.provider-linked"]


def test_a_user_whom_others_change_all_the_time_is_asked_to_try_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def contended(*_: object) -> None:
        raise Contended("Somebody else is changing the same thing.", retry_after=1)

    world.users.create(user(email="ann@corp.example"))
    monkeypatch.setattr(world.users, "change", contended)
    refused = world.logged_in("corp")
    assert problem(refused) == (503, "unavailable")
    assert header(refused, "Retry-After") == "1"
    assert len(world.time.slept) == 4


@pytest.mark.parametrize(
    ("wish", "begins"),
    [
        ("ann", "ann-"),
        ("A", "a-"),
        ("--", "user-"),
        ("ąęż", "user-"),
        ("a" * 99, "a" * 48),
        ("System", "system-"),
        ("--nobody--", "nobody-"),
    ],
)
def test_a_name_that_is_taken_or_can_be_nobodys_is_made_fit(world: World, wish: str, begins: str) -> None:
    world.users.create(user(BOB, "ann"))
    world.settings(self_registration=True)
    world.corp.person = {"sub": "corp-8", "preferred_username": wish}
    made = world.owner(exchange(world.code()))
    assert made.username.startswith(begins)
    assert made.user_id != BOB


def test_a_client_may_have_several_addresses_and_there_are_several_clients(world: World) -> None:
    world.users.create(user(email="ann@corp.example"))
    other = "https://console.example/other?tab=1"
    done = world.logged_in("corp", redirect_uri=other)
    assert header(done, "Location").startswith(f"{other}&code=")
    assert exchange(query_of(header(done, "Location"))["code"], redirect_uri=other)["statusCode"] == 200

    done = world.logged_in("corp", client_id="cli", redirect_uri=CLI)
    code = query_of(header(done, "Location"))["code"]
    assert exchange(code, client_id="cli", redirect_uri=CLI)["statusCode"] == 200


def test_the_registered_callback_is_below_the_public_url(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a stack behind a domain of its own
    from weir.runtime import settings

    monkeypatch.setenv("WEIR_PUBLIC_URL", "https://weir.example/api/")
    settings.forget()
    world.users.create(user(email="ann@corp.example"))

    # Then providers send there, and the code is exchanged with the same address
    assert header(world.logged_in("corp"), "Location").startswith(f"{CONSOLE}?code=")
    (exchanged,) = world.corp.of("/token")
    assert exchanged.fields["redirect_uri"] == "https://weir.example/api/auth/oauth/corp/callback"


def test_the_host_header_has_no_part_in_the_callback(world: World, browser: Browser) -> None:
    from tests.unit.identity.oauth import world as calls

    event = json.loads((calls.ROOT / "events/oauth-authorize.json").read_text())
    event["headers"]["Host"] = "evil.example"
    event["multiValueHeaders"]["Host"] = ["evil.example"]
    answer = calls.handler().handler(event, calls.Context())
    assert query_of(header(answer, "Location"))["redirect_uri"] == CALLBACK

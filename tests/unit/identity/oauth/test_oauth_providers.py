"""What is asked of providers, how often, and what is understood of their answers."""

import base64
import json
import warnings

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.unit.identity.accounts import audited, user
from tests.unit.identity.oauth.provider import CLIENT_ID, CLIENT_SECRET, Json, jwk, signed
from tests.unit.identity.oauth.world import Browser, World, header, problem
from weir.identity import oidc, outbound
from weir.identity.oauth_errors import ProviderFailed, ProviderTimeout

DISCOVERY = "/.well-known/openid-configuration"


pytestmark = pytest.mark.usefixtures("ann")


def is_in(world: World) -> bool:
    return "code=" in header(world.logged_in("corp"), "Location")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("kid", ["one", None])
def test_a_token_holds_that_is_signed_as_the_provider_says(world: World, algorithm: str, kid: str | None) -> None:
    # Given a provider that names its algorithm, and has one key, with or without an id
    world.corp.discovery = {"id_token_signing_alg_values_supported": [algorithm]}
    world.corp.keys = [jwk(algorithm, kid), {**jwk(algorithm, kid, 1), "use": "enc"}]
    world.corp.sign = lambda claims: signed(claims, algorithm, kid)
    assert is_in(world)


def test_a_token_is_refused_that_is_signed_otherwise_than_the_provider_says(world: World) -> None:
    # Given a provider that says RS256, and whose keys hold another all the same
    world.corp.keys = [jwk("RS256"), jwk("ES256")]
    world.corp.sign = lambda claims: signed(claims, "ES256")
    assert problem(world.logged_in("corp")) == (401, "provider-refused")


def test_without_a_key_id_two_keys_that_fit_prove_nothing(world: World) -> None:
    world.corp.keys = [jwk("RS256", None), jwk("RS256", None, 1)]
    world.corp.sign = lambda claims: signed(claims, kid=None)
    assert problem(world.logged_in("corp")) == (401, "provider-refused")


@pytest.mark.parametrize(
    "other",
    [
        {"use": "enc"},
        {"alg": "RS512"},
        {"kty": "oct", "k": base64.urlsafe_b64encode(b"x" * 32).decode()},
        {"kid": "another"},
        {"n": "AQAB"},
        {"n": 7},
        {"n": None},
    ],
    ids=str,
)
def test_a_key_that_is_for_something_else_or_unfit_verifies_nothing(world: World, other: Json) -> None:
    world.corp.keys = [{**jwk("RS256"), **other}]
    assert problem(world.logged_in("corp")) == (401, "provider-refused")
    assert audited(world.client) == []


def test_a_key_that_is_too_short_to_trust_verifies_nothing(world: World) -> None:
    short = rsa.generate_private_key(65537, 1024)
    world.corp.keys = [{**json.loads(RSAAlgorithm.to_jwk(short.public_key())), "kid": "one"}]

    def sign(claims: Json) -> str:
        with warnings.catch_warnings(action="ignore"):
            return jwt.encode(claims, short, "RS256", headers={"kid": "one"})

    world.corp.sign = sign
    assert problem(world.logged_in("corp")) == (401, "provider-refused")


def test_discovery_and_keys_are_asked_for_once_an_hour(world: World) -> None:
    # Given log-ins within an hour
    assert is_in(world)
    world.time.pass_by(3599)
    assert is_in(world)
    assert (len(world.corp.of(DISCOVERY)), len(world.corp.of("/jwks"))) == (1, 1)

    # When the hour is over, Then they are asked for again
    world.time.pass_by(1)
    assert is_in(world)
    assert (len(world.corp.of(DISCOVERY)), len(world.corp.of("/jwks"))) == (2, 2)


def test_a_new_key_is_found_but_a_made_up_one_is_not_looked_for_all_the_time(world: World) -> None:
    # Given a provider that signs with a key that it did not have a minute ago
    assert is_in(world)
    world.time.pass_by(60)
    world.corp.keys = [jwk("RS256"), jwk("RS256", "two", 1)]
    world.corp.sign = lambda claims: signed(claims, kid="two", which=1)
    assert is_in(world)
    assert len(world.corp.of("/jwks")) == 2

    # When it signs with one that is not among its keys, time and again
    world.corp.sign = lambda claims: signed(claims, kid="three", which=1)
    for _ in range(3):
        assert problem(world.logged_in("corp")) == (401, "provider-refused")
        world.time.pass_by(19)

    # Then its keys are asked for once a minute at most
    assert len(world.corp.of("/jwks")) == 2
    world.time.pass_by(3)
    assert problem(world.logged_in("corp")) == (401, "provider-refused")
    assert len(world.corp.of("/jwks")) == 3


def test_a_failure_of_discovery_is_kept_for_a_moment_alone(world: World, browser: Browser) -> None:
    world.corp.answers[DISCOVERY] = 503, b""
    assert problem(browser.begin("corp")) == (502, "provider-failed")
    del world.corp.answers[DISCOVERY]
    world.time.pass_by(oidc.FAILED_SECONDS)
    assert is_in(world)


@pytest.mark.parametrize(
    ("methods", "is_basic"),
    [(None, True), (["client_secret_post", "client_secret_basic"], True), (["client_secret_post"], False)],
)
def test_the_secret_is_sent_as_the_provider_wants_it(world: World, methods: list[str] | None, is_basic: bool) -> None:
    world.corp.discovery = {"token_endpoint_auth_methods_supported": methods}
    assert is_in(world)
    (sent,) = world.corp.of("/token")
    assert ("authorization" in sent.headers, "client_secret" in sent.fields) == (is_basic, not is_basic)
    assert CLIENT_SECRET not in sent.headers.get("authorization", "")


def test_a_secret_is_never_in_an_address(world: World) -> None:
    assert is_in(world)
    assert header(world.logged_in("github"), "Content-Type")
    gets = [sent for server in (world.corp, world.hub) for sent in server.seen if sent.method == "GET"]
    assert gets
    assert [sent for sent in gets if CLIENT_SECRET in str(sent.fields) or "token" in str(sent.fields)] == []


def test_an_address_that_the_token_leaves_out_is_asked_of_userinfo(world: World) -> None:
    world.corp.userinfo = {**world.corp.person, "sub": "corp-7"}
    assert is_in(world)
    (asked,) = world.corp.of("/userinfo")
    assert asked.headers["authorization"] == "Bearer corp-access"


@pytest.mark.parametrize("endpoint", [None, "http://userinfo.example/", 7])
def test_a_provider_without_userinfo_is_not_asked_for_it(world: World, endpoint: object) -> None:
    world.corp.userinfo = world.corp.person
    world.corp.discovery = {"userinfo_endpoint": endpoint}
    assert problem(world.logged_in("corp")) == (403, "not-a-user")
    assert world.corp.of("/userinfo") == []


def test_github_is_asked_with_pkce_and_by_its_own_addresses(world: World, browser: Browser) -> None:
    world.users.create(user("hub2hub3hub4hub5", "hub", email="octo@hub.example"))
    done = world.logged_in("github", browser)
    assert "code=" in header(done, "Location")
    (exchanged,) = world.hub.of("/login/oauth/access_token")
    assert exchanged.fields["client_id"] == CLIENT_ID
    assert len(exchanged.fields["code_verifier"]) == 43
    assert [sent.path for sent in world.hub.seen[1:]] == ["/api/user", "/api/user/emails"]


# ---- The way out -----------------------------------------------------------------------------------------------------


def web(world: World) -> outbound.Web:
    return outbound.Web(world.time.clock.monotonic)


def soon(world: World) -> float:
    return world.time.clock.monotonic() + 20


def test_what_is_asked_for_is_asked_once_more_where_it_failed(world: World) -> None:
    # Given a server that fails at first
    answers = iter([(503, {}), (200, {"fine": True})])
    world.corp.answer = lambda sent: next(answers)  # type: ignore[method-assign]
    assert web(world).get(f"{world.corp.url}/x", soon(world)).body == {"fine": True}
    assert len(world.corp.seen) == 2


def test_what_is_sent_is_sent_once(world: World) -> None:
    world.corp.answers["/x"] = 503, b""
    with pytest.raises(ProviderFailed):
        web(world).post(f"{world.corp.url}/x", {"code": "c"}, soon(world), {})
    assert len(world.corp.seen) == 1


def test_a_redirect_is_not_followed(world: World) -> None:
    world.corp.answers["/x"] = 302, f"{world.hub.url}/y".encode()
    with pytest.raises(ProviderFailed):
        web(world).get(f"{world.corp.url}/x", soon(world))
    assert world.hub.seen == []


def test_when_the_time_of_a_log_in_is_over_nobody_is_asked(world: World) -> None:
    with pytest.raises(ProviderTimeout):
        web(world).get(f"{world.corp.url}/x", world.time.clock.monotonic())
    assert world.corp.seen == []


def test_a_refusal_below_500_is_an_answer(world: World) -> None:
    world.corp.answers["/x"] = 404, b'{"message": "no"}'
    assert web(world).get(f"{world.corp.url}/x", soon(world)) == outbound.Reply(404, {"message": "no"})


@pytest.mark.parametrize("url", ["https://127.0.0.1:{port}/", "http://127.0.0.1:1/", "http://[::1"])
def test_a_peer_that_speaks_no_tls_or_is_not_there_is_a_failure(world: World, url: str) -> None:
    with pytest.raises(ProviderFailed):
        web(world).get(url.format(port=world.corp.url.rsplit(":", 1)[1]), soon(world))


def test_a_failure_tells_no_secret(world: World) -> None:
    world.corp.stop()
    with pytest.raises(ProviderFailed) as failed:
        web(world).post(f"{world.corp.url}/token", {"client_secret": CLIENT_SECRET}, soon(world), {})
    told = f"{failed.value!r} {failed.value.__cause__!r}"
    assert CLIENT_SECRET not in told
    assert "secret" not in told


def test_asking_takes_less_than_api_gateway_waits() -> None:
    from weir.identity.oauth import ASKING_SECONDS

    assert ASKING_SECONDS + outbound.CONNECT_SECONDS + outbound.READ_SECONDS < 29
    assert oidc.KEPT_SECONDS == 3600

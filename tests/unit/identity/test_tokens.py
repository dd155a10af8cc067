"""Tokens: what was signed is read, and nothing else is, whatever it says of itself."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.identity.accounts import ANN, BOB, NOON, Time, user
from tests.unit.identity.conftest import Secret, secret_text
from weir.identity import tokens
from weir.identity.errors import BadToken
from weir.identity.keyring import Key, Keyring
from weir.identity.models import Claims
from weir.identity.roles import SCOPES
from weir.identity.tokens import ISSUED_BACK_SECONDS, MOST_CHARACTERS, Refresh
from weir.runtime.errors import Unavailable, WeirError
from weir.runtime.settings import Settings

CONF = Settings(token_issuer="urn:weir:test", token_audience="weir", access_token_seconds=900)
EPOCH = int(NOON.timestamp())
SESSION = "session2session3"
KEYRING = Keyring(Secret().read, lambda: 0.0)
KEY = KEYRING.signing()
HEADER = {"alg": "HS256", "kid": "1", "typ": "at+jwt"}
PAYLOAD: dict[str, Any] = {
    "iss": "urn:weir:test",
    "aud": "weir",
    "sub": ANN,
    "iat": EPOCH,
    "nbf": EPOCH,
    "exp": EPOCH + 900,
    "jti": "j",
    "sid": SESSION,
    "username": "ann",
    "roles": ["admin"],
    "groups": [],
    "scope": "users:write",
}


def verify(text: str, seconds: float = 0.0, keyring: Keyring = KEYRING) -> Claims:
    return tokens.verify_access(text, keyring, "urn:weir:test", "weir", NOON + timedelta(seconds=seconds))


def encoded(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def forged(header: dict[str, Any] | None = None, payload: dict[str, Any] | None = None, key: bytes = KEY.secret) -> str:
    """A JWT with fields changed (None takes one out), signed by HMAC-SHA-256 with a key."""

    def changed(document: dict[str, Any], changes: dict[str, Any] | None) -> dict[str, Any]:
        return {name: value for name, value in {**document, **(changes or {})}.items() if value is not None}

    signed = f"{encoded(changed(HEADER, header))}.{encoded(changed(PAYLOAD, payload))}"
    mac = hmac.digest(key, signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def refused(text: str, seconds: float = 0.0) -> str:
    with pytest.raises(BadToken) as caught:
        verify(text, seconds)
    assert text[:20] not in caught.value.reason
    return caught.value.reason


# ---- Access tokens ----


def test_what_was_issued_is_what_is_read() -> None:
    # Given a user with roles and groups
    person = user(roles=("member", "operator"), groups=("a-team", "b/team"))

    # When a token is issued / Then it says so to whoever verifies it
    text, claims = tokens.issue_access(person, SESSION, KEY, CONF, NOON)
    assert verify(text) == claims
    assert (claims.sub, claims.session_id, claims.username) == (ANN, SESSION, "ann")
    assert (claims.roles, claims.groups) == (person.roles, person.groups)
    assert set(claims.scopes) == SCOPES["operator"]
    assert claims.expires_at == EPOCH + 900
    assert (claims.max_uses, claims.must_change_password) == (None, False)


def test_a_token_is_of_the_form_that_is_documented() -> None:
    text, claims = tokens.issue_access(user(), SESSION, KEY, CONF, NOON, max_uses=3, seconds=60)
    assert jwt.get_unverified_header(text) == HEADER
    assert jwt.decode(text, options={"verify_signature": False}) == {
        "iss": "urn:weir:test",
        "aud": "weir",
        "sub": ANN,
        "jti": claims.jti,
        "sid": SESSION,
        "username": "ann",
        "iat": EPOCH - ISSUED_BACK_SECONDS,
        "nbf": EPOCH - ISSUED_BACK_SECONDS,
        "exp": EPOCH + 60,
        "roles": ["operator"],
        "groups": [],
        "scope": " ".join(claims.scopes),
        "max_uses": 3,
    }


@pytest.mark.parametrize("limits", [{"max_uses": 3}, {"seconds": 60}, {"max_uses": 3, "seconds": 60}], ids=str)
def test_a_token_of_few_uses_or_a_short_life_makes_no_key_of_more(limits: dict[str, int]) -> None:
    # Given an operator / When their token is limited / Then it does what they may, but nothing that is for people alone
    _, free = tokens.issue_access(user(roles=("operator",)), SESSION, KEY, CONF, NOON)
    _, limited = tokens.issue_access(user(roles=("operator",)), SESSION, KEY, CONF, NOON, **limits)
    assert set(free.scopes) - set(limited.scopes) == {"keys:manage"}
    assert "runs:write" in limited.scopes


def test_a_known_answer_is_accepted() -> None:
    # Given a token that was made by hand, by RFC 7515's book / Then it holds
    assert verify(forged()).scopes == ("users:write",)


def test_no_two_tokens_have_one_id() -> None:
    first, second = (tokens.issue_access(user(), SESSION, KEY, CONF, NOON)[1] for _ in range(2))
    assert first.jti != second.jti


def test_who_must_change_the_password_gets_no_scope() -> None:
    text, _ = tokens.issue_access(user(must_change_password=True, roles=("admin",)), SESSION, KEY, CONF, NOON)
    assert verify(text).scopes == ()
    assert verify(text).must_change_password


def test_a_token_after_a_change_is_issued_after_it_and_holds_at_once() -> None:
    # Given a user whose rights changed in this second
    changed = user(tokens_from=EPOCH + 1)

    # Then a token issued now is none of those from before the change, and is valid already
    text, claims = tokens.issue_access(changed, SESSION, KEY, CONF, NOON)
    assert claims.issued_at == EPOCH + 1
    assert verify(text).issued_at == EPOCH + 1


def test_a_token_issued_while_a_change_is_being_written_ends_with_the_old_rights() -> None:
    # Given a change that began at noon, and is written 20 seconds later
    before = EPOCH + 1

    # When a token is issued shortly before that, with the old rights / Then it counts as issued before the change
    _, claims = tokens.issue_access(user(), SESSION, KEY, CONF, NOON + timedelta(seconds=19))
    assert claims.issued_at < before


def test_rights_that_fit_into_no_token_are_told_and_not_handed_out() -> None:
    many = user(groups=tuple(f"{number:064}" for number in range(50)))
    with pytest.raises(tokens.TooManyRights):
        tokens.issue_access(many, SESSION, KEY, CONF, NOON)


def test_a_token_outlives_the_rotation_of_its_key_but_not_two() -> None:
    # Given a token, and a rotation of the secret
    secret, time = Secret(), Time()
    keyring = Keyring(secret.read, time.clock.monotonic)
    text, claims = tokens.issue_access(user(), SESSION, keyring.signing(), CONF, NOON)
    secret.rotate("2")
    time.pass_by(600)

    # Then it holds on, beside those of the new key
    assert verify(text, keyring=keyring) == claims
    fresh, _ = tokens.issue_access(user(), SESSION, keyring.signing(), CONF, NOON)
    assert jwt.get_unverified_header(fresh)["kid"] == "2"
    assert verify(fresh, keyring=keyring)

    # And after the next one no more
    secret.rotate("3")
    time.pass_by(600)
    with pytest.raises(BadToken):
        verify(text, keyring=keyring)


@given(st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=16, max_size=16), st.lists(st.text(max_size=9), max_size=4))
def test_a_library_reads_what_is_issued_and_what_it_issues_is_read(name: str, groups: list[str]) -> None:
    # Given a token of ours / Then PyJWT verifies it, and says the same
    ours, claims = tokens.issue_access(user(user_id=name, groups=tuple(groups)), SESSION, KEY, CONF, NOON)
    options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    audience, issuer = CONF.token_audience, CONF.token_issuer
    read = jwt.decode(ours, KEY.secret, ["HS256"], audience=audience, issuer=issuer, options=options)
    assert (read["sub"], read["groups"], read["jti"]) == (name, groups, claims.jti)

    # And one that PyJWT made of the same claims is read as the same
    theirs = jwt.encode(read, KEY.secret, "HS256", headers={"kid": KEY.kid, "typ": "at+jwt"})
    assert verify(theirs) == verify(ours) == claims


# ---- Attacks ----


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", "HS384", "HS512", "RS256", "hs256"])
def test_no_other_algorithm_is_taken(algorithm: str) -> None:
    unsigned = f"{encoded({**HEADER, 'alg': algorithm})}.{encoded(PAYLOAD)}."
    assert "header" in refused(unsigned)
    assert "header" in refused(forged({"alg": algorithm}))


def test_a_token_without_a_signature_is_refused() -> None:
    assert "signature" in refused(f"{encoded(HEADER)}.{encoded(PAYLOAD)}.")


def test_a_public_key_is_no_secret() -> None:
    # Given a token signed with RS256, and one with HS256 by the public key's text as the secret
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = jwt.encode(PAYLOAD, private, algorithm="RS256", headers={"kid": "1", "typ": "at+jwt"})

    # Then both are refused
    assert "header" in refused(signed)
    assert "signature" in refused(forged(key=public))


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"kid": "2"}, "kid"),
        ({"kid": ""}, "kid"),
        ({"kid": "../../dev/null"}, "kid"),
        ({"kid": 1}, "token"),
        ({"kid": ["1"]}, "token"),
        ({"kid": None}, "header"),
        ({"typ": "JWT"}, "header"),
        ({"typ": None}, "header"),
        ({"crit": ["exp"]}, "token"),
        ({"b64": False, "crit": ["b64"]}, "token"),
    ],
)
def test_a_header_that_is_not_ours_is_refused(header: dict[str, Any], why: str) -> None:
    assert why in refused(forged(header))


@pytest.mark.parametrize("header", [{"jwk": {"kty": "oct", "k": "YXR0YWNrZXI"}}, {"jku": "https://attacker.test/jwks"}])
def test_a_key_that_a_token_brings_along_is_not_used(header: dict[str, Any]) -> None:
    assert "signature" in refused(forged(header, key=b"attacker" * 4))


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ({"aud": "another"}, "audience"),
        ({"aud": ["weir", "another"]}, "audience"),
        ({"aud": ["weir"]}, "audience"),
        ({"iss": "urn:weir:another"}, "issuer"),
        ({"iss": ["urn:weir:test"]}, "issuer"),
        *[({name: None}, "issuer or audience") for name in ("iss", "aud")],
        *[({name: None}, "claims") for name in ("sub", "iat", "nbf", "exp", "jti")],
        *[({name: None}, "claims") for name in ("sid", "username", "roles", "groups", "scope")],
        ({"sub": 7}, "claims"),
        ({"jti": 7}, "claims"),
        ({"exp": "tomorrow"}, "claims"),
        ({"exp": 1e99}, "claims"),
        ({"exp": True}, "claims"),
        ({"iat": 1.5}, "claims"),
        ({"max_uses": True}, "claims"),
        ({"max_uses": "1000"}, "claims"),
        ({"must_change": "false"}, "claims"),
        ({"roles": "admin"}, "claims"),
        ({"roles": [["admin"]]}, "claims"),
    ],
)
def test_claims_that_are_not_ours_are_refused_even_when_signed(payload: dict[str, Any], why: str) -> None:
    assert why in refused(forged(payload=payload))


def test_time_is_kept_to_the_second_at_the_end_and_with_leeway_at_the_beginning() -> None:
    assert verify(forged(), 899.9)
    assert "expired" in refused(forged(), 900)
    assert verify(forged(), -5)
    assert "not yet" in refused(forged(), -5.1)
    assert "not yet" in refused(forged(payload={"nbf": EPOCH + 10}))
    assert "not yet" in refused(forged(payload={"iat": EPOCH + 10}))


def test_a_huge_token_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(text: str) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr(jwt, "get_unverified_header", parse)
    assert "too long" in refused("e" * (MOST_CHARACTERS + 1))
    assert "too long" in refused(forged(payload={"scope": "x" * 1_000_000}))


def test_a_truncated_token_is_refused_wherever_it_is_cut() -> None:
    text = forged()
    for length in range(len(text)):
        with pytest.raises(BadToken):
            verify(text[:length])


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "e30.e30.", "\x00", "ü.ü.ü", "\ud800.a.b", "W10.e30.AA", "." * 4096]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        verify(text)


@given(st.integers(0, 2**20), st.integers(1, 255))
def test_no_changed_byte_of_a_token_goes_unnoticed(place: int, change: int) -> None:
    # Given a token of which one byte of what is signed, or of the signature, was changed
    segments = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in forged().split(".")]
    whole = bytearray(b"".join(segments))
    whole[place % len(whole)] ^= change
    cut, parts = 0, []
    for segment in segments:
        parts.append(base64.urlsafe_b64encode(bytes(whole[cut : cut + len(segment)])).rstrip(b"=").decode())
        cut += len(segment)

    # Then it is refused
    with pytest.raises(BadToken):
        verify(".".join(parts))


def test_a_secret_that_cant_be_read_says_nothing_of_the_token() -> None:
    # Given a signing secret that can't be read, or is of another form
    secret = Secret()
    secret.failure = Unavailable("down")

    # Then a good token is not called bad
    with pytest.raises(Unavailable):
        verify(forged(), keyring=Keyring(secret.read, lambda: 0.0))
    with pytest.raises(WeirError, match="not of the form"):
        verify(forged(), keyring=Keyring(lambda _: "not JSON", lambda: 0.0))


# ---- Refresh and device tokens ----

READERS: dict[str, Callable[[str], Any]] = {
    "access": verify,
    "refresh": lambda text: tokens.read_refresh(text, KEYRING),
    "device": lambda text: found if (found := tokens.verify_device(text, user(), KEYRING, NOON)) else bad(),
}
MADE = {
    "access": tokens.issue_access(user(), SESSION, KEY, CONF, NOON)[0],
    "refresh": tokens.issue_refresh(ANN, SESSION, 7, KEY),
    "device": tokens.issue_device(user(), KEY, NOON),
}


def bad() -> None:
    raise BadToken("no device")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("made", MADE)
def test_no_kind_of_token_passes_for_another(reader: str, made: str) -> None:
    if reader == made:
        assert READERS[reader](MADE[made])
    else:
        with pytest.raises(BadToken):
            READERS[reader](MADE[made])


def test_a_refresh_token_tells_its_generation() -> None:
    assert tokens.read_refresh(MADE["refresh"], KEYRING) == Refresh(ANN, SESSION, 7)


def test_a_refresh_token_is_a_known_answer() -> None:
    # Given the key of these tests / Then the token never changes: those that people hold must go on
    mac = hmac.digest(KEY.secret, b"weir rt\x001\x00" + f"{ANN}\x00{SESSION}\x007".encode(), hashlib.sha256)
    text = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    assert MADE["refresh"] == f"weir_rt_1.{ANN}.{SESSION}.7.{text}"


@pytest.mark.parametrize("kind", ["refresh", "device"])
@given(st.data())
def test_no_changed_character_goes_unnoticed(kind: str, data: st.DataObject) -> None:
    text = MADE[kind]
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda one: one != text[place]))
    with pytest.raises(BadToken):
        READERS[kind](text[:place] + other + text[place + 1 :])


@pytest.mark.parametrize("kind", ["refresh", "device"])
def test_a_key_of_another_stack_signs_nothing_here(kind: str) -> None:
    foreign = Key("1", b"the secret of another stack, of the same name")
    made = {
        "refresh": tokens.issue_refresh(ANN, SESSION, 7, foreign),
        "device": tokens.issue_device(user(), foreign, NOON),
    }
    with pytest.raises(BadToken):
        READERS[kind](made[kind])


@pytest.mark.parametrize(
    "text",
    [
        *("", "weir_rt_", f"weir_rt_1.{ANN}.{SESSION}.07.{'A' * 43}", f"weir_rt_1.{ANN}.{SESSION}.-1.{'A' * 43}"),
        *(f"weir_rt_1.{ANN}.{SESSION}.{'9' * 10}.{'A' * 43}", MADE["refresh"] + "\n", MADE["refresh"] * 100, "\ud800"),
    ],
)
def test_what_is_no_refresh_token_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        tokens.read_refresh(text, KEYRING)


def test_a_device_is_known_to_its_user_alone_and_until_their_sessions_end() -> None:
    text = MADE["device"]
    device = tokens.verify_device(text, user(), KEYRING, NOON)
    assert device is not None

    # Then to nobody else, nor to nobody, nor after the password was changed
    assert tokens.verify_device(text, user(BOB, "bob"), KEYRING, NOON) is None
    assert tokens.verify_device(text, None, KEYRING, NOON) is None
    assert tokens.verify_device(None, user(), KEYRING, NOON) is None
    assert tokens.verify_device(text, replace(user(), sessions_from=EPOCH + 1), KEYRING, NOON) is None

    # And for thirty days, in which each log-in on it begins another
    assert tokens.verify_device(text, user(), KEYRING, NOON + timedelta(days=29)) == device
    assert tokens.verify_device(text, user(), KEYRING, NOON + timedelta(days=30)) is None
    later = tokens.issue_device(user(), KEY, NOON + timedelta(days=29), device)
    assert tokens.verify_device(later, user(), KEYRING, NOON + timedelta(days=30)) == device


def test_the_secret_of_these_tests_is_the_stacks() -> None:
    assert json.loads(secret_text("1"))["secret"].encode() == KEY.secret

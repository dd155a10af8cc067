"""Passwords: argon2id at OWASP's parameters, and which new ones are taken."""

import unicodedata

import argon2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.identity.conftest import PASSWORD, Hashes
from weir.identity import passwords
from weir.identity.users import generated_password

OWASP = "$argon2id$v=19$m=19456,t=2,p=1$"


def test_a_hash_is_argon2id_at_owasps_parameters() -> None:
    made = passwords.hashed(PASSWORD)
    assert made.startswith(OWASP)
    assert made != passwords.hashed(PASSWORD)
    assert not passwords.needs_rehash(made)


def test_a_password_matches_its_hash_and_no_other_does() -> None:
    made = passwords.hashed(PASSWORD)
    assert passwords.matches(PASSWORD, made)
    assert not passwords.matches(PASSWORD + " ", made)
    assert not passwords.matches(PASSWORD.upper(), made)


def test_a_known_answer_matches() -> None:
    # Given the hash of "password" with the salt "somesaltsomesalt", as OpenSSL's argon2id makes it
    salt, digest = "c29tZXNhbHRzb21lc2FsdA", "K13EBUiG7JV+9ZxztmHFTdb7J0WQsnj2V8bZaqyPptE"
    assert passwords.matches("password", f"{OWASP}{salt}${digest}")


def test_where_there_is_no_hash_one_is_verified_all_the_same(hashes: Hashes) -> None:
    # Given nobody's hash, which costs what others do / Then nothing matches it, at the same price
    assert passwords._NOBODYS.startswith(OWASP)
    assert not passwords.needs_rehash(passwords._NOBODYS)
    assert not passwords.matches(PASSWORD, None)
    assert not passwords.matches("", None)
    assert hashes.verified == 2


def test_a_hash_of_older_parameters_still_matches_and_is_to_be_made_anew() -> None:
    old = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    assert passwords.matches(PASSWORD, old)
    assert passwords.needs_rehash(old)


def test_the_same_text_in_other_code_points_matches() -> None:
    # Given a password with an umlaut, composed as one keyboard does / Then it matches, decomposed as another does
    composed = unicodedata.normalize("NFC", "zwölf Gänseblümchen")
    made = passwords.hashed(composed)
    assert passwords.matches(unicodedata.normalize("NFD", composed), made)


@pytest.mark.parametrize(
    "password", ["a" * 1_025, "a" * 60_000, "with\0nul and more", "\ud800 half a character", PASSWORD + "\0"]
)
def test_what_can_be_nobodys_password_costs_no_hash(password: str, hashes: Hashes) -> None:
    made = passwords.hashed(PASSWORD)
    assert not passwords.matches(password, made)
    assert hashes.verified == 0


def test_a_hash_that_is_none_is_told_and_no_password_matches_it() -> None:
    with pytest.raises(argon2.exceptions.InvalidHashError):
        passwords.matches(PASSWORD, "{SHA}0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33")


@pytest.mark.parametrize(
    ("password", "told"),
    [
        ("", "long"),
        ("eleven char", "long"),
        ("a1B2" * 65, "long"),
        ("x" * 100_000, "long"),
        ("with a \0 in it, and long", "NUL"),
        ("half \udc00 a character", "NUL"),
        ("the great ANN herself", "user name"),
        ("password1234", "first"),
        ("P4ssw0rd2026!", "first"),
        ("passwordpassword", "first"),
        ("letmein!letmein!", "first"),
        ("qwertyuiopasdf", "first"),
        ("123456789012", "first"),
        ("987654321098", "first"),
        ("aaaaaaaaaaaa", "first"),
        ("abababababab", "first"),
        ("correcthorsebatterystaple", "first"),
        ("Administrator1!", "first"),
    ],
)
def test_a_new_password_that_is_short_or_known_to_all_is_refused(password: str, told: str) -> None:
    assert told in (passwords.problem(password, "ann") or "")


@pytest.mark.parametrize(
    "password",
    [PASSWORD.replace("Ann", "I"), "exactly 12 c", "zwölf Gänseblümchen", "日本語のとても長い合言葉です", "x1!Z7" * 50],
)
def test_any_other_is_taken(password: str) -> None:
    assert passwords.problem(password, "ann") is None


def test_generated_passwords_are_taken() -> None:
    for _ in range(50):
        assert passwords.problem(generated_password(), "admin") is None


@settings(deadline=None, max_examples=30)
@given(st.text(min_size=12, max_size=256))
def test_every_password_that_is_taken_can_be_typed_again(password: str) -> None:
    # Given any text that is taken for a new password / Then it lets its user in
    if passwords.problem(password, "ann") is None:
        assert passwords.matches(password, passwords.hashed(password))

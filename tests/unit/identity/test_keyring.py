"""The keys that sign: live tokens live through a rotation, and nobody makes a process ask Secrets Manager often."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.identity.accounts import Time
from tests.unit.identity.conftest import Secret, secret_text
from weir.identity.keyring import KEPT_SECONDS, LOOKS_AGAIN_SECONDS, OUTLASTS_SECONDS, Keyring
from weir.runtime.errors import Unavailable, WeirError


@pytest.fixture
def keyring(secret: Secret, time: Time) -> Keyring:
    return Keyring(secret.read, time.clock.monotonic)


def test_a_key_does_not_show_its_secret(keyring: Keyring) -> None:
    assert "secret-of-this" not in repr(keyring.signing())


def test_the_current_version_signs_and_the_one_before_verifies(keyring: Keyring, secret: Secret) -> None:
    # Given a secret that was rotated once
    secret.rotate("2")

    # Then the new one signs, both are found, and nothing else is
    assert keyring.signing().kid == "2"
    assert [key and key.kid for key in map(keyring.find, ("1", "2", "3", ""))] == ["1", "2", None, None]


def test_a_secret_is_read_once_in_five_minutes(keyring: Keyring, secret: Secret, time: Time) -> None:
    for _ in range(3):
        keyring.signing()
        keyring.find("1")
        time.pass_by(KEPT_SECONDS / 3 - 1)
    assert secret.reads == ["AWSCURRENT"]
    time.pass_by(KEPT_SECONDS)
    keyring.signing()
    assert len(secret.reads) == 2


def test_the_version_before_is_read_once_and_only_where_a_token_names_another_key(
    keyring: Keyring, secret: Secret, time: Time
) -> None:
    # Given a secret that was rotated, and a process that meets a token from before
    secret.rotate("2")
    keyring.find("2")
    assert "AWSPREVIOUS" not in secret.reads
    for _ in range(3):
        assert keyring.find("1") is not None
        time.pass_by(KEPT_SECONDS)
    # Then it reads the key before once, until the next rotation
    assert secret.reads.count("AWSPREVIOUS") == 1
    secret.rotate("3")
    assert keyring.find("2") is not None
    assert keyring.find("1") is None
    assert secret.reads.count("AWSPREVIOUS") == 2


def test_two_rotations_end_a_key_that_was_known(keyring: Keyring, secret: Secret, time: Time) -> None:
    # Given a process that knows a key, which is two rotations old when it looks again
    assert keyring.find("1") is not None
    secret.rotate("2")
    secret.rotate("3")
    time.pass_by(KEPT_SECONDS)
    assert keyring.find("1") is None


def test_a_version_before_that_can_not_be_read_is_an_outage_and_no_refusal(
    keyring: Keyring, secret: Secret, time: Time
) -> None:
    # Given a token from before a rotation, and a Secrets Manager that answered for the current version alone
    secret.rotate("2")
    keyring.signing()
    secret.failure = Unavailable("down")
    # Then whoever holds it is told to come again, and it is asked now and then
    for _ in range(10):
        with pytest.raises(Unavailable):
            keyring.find("1")
        time.pass_by(1)
    assert secret.reads.count("AWSPREVIOUS") == 2
    secret.failure = None
    time.pass_by(LOOKS_AGAIN_SECONDS)
    assert keyring.find("1") is not None


def test_a_new_key_is_found_before_the_old_ones_are_read_again(keyring: Keyring, secret: Secret, time: Time) -> None:
    # Given a process that knows the first key
    keyring.signing()
    time.pass_by(LOOKS_AGAIN_SECONDS)

    # When another has signed with the second / Then it looks, and finds
    secret.rotate("2")
    found = keyring.find("2")
    assert found is not None
    assert found.kid == "2"


def test_made_up_names_make_it_look_every_five_seconds_at_most(keyring: Keyring, secret: Secret, time: Time) -> None:
    keyring.signing()
    for second in range(60):
        assert keyring.find(f"made-up-{second}") is None
        time.pass_by(1)
    assert secret.reads.count("AWSCURRENT") == 12


def test_a_new_key_is_found_five_seconds_after_made_up_names_at_the_latest(
    keyring: Keyring, secret: Secret, time: Time
) -> None:
    # Given a process that was just made to look by a made-up name, ahead of a rotation
    keyring.signing()
    time.pass_by(LOOKS_AGAIN_SECONDS)
    keyring.find("made-up")
    secret.rotate("2")

    # When tokens of the new key and of made-up ones come all the time, Then it is found within five seconds
    found = []
    for _ in range(6):
        keyring.find("made-up")
        found.append(keyring.find("2") is not None)
        time.pass_by(1)
    assert found == [False] * 5 + [True]


def test_known_keys_outlast_a_secrets_manager_that_does_not_answer(
    keyring: Keyring, secret: Secret, time: Time
) -> None:
    # Given known keys that are due to be read again, from a Secrets Manager that does not answer
    known = keyring.signing()
    secret.failure = Unavailable("down")
    time.pass_by(KEPT_SECONDS)

    # Then they serve on, and it is asked now and then
    for _ in range(60):
        assert keyring.signing() == known
        time.pass_by(1)
    assert len(secret.reads) == 1 + 60 / LOOKS_AGAIN_SECONDS

    # But not for ever
    time.pass_by(OUTLASTS_SECONDS)
    with pytest.raises(Unavailable):
        keyring.signing()

    # And when it answers again, all is as it was
    secret.failure = None
    assert keyring.signing() == known


def test_without_any_key_a_failure_is_told(keyring: Keyring, secret: Secret) -> None:
    secret.failure = Unavailable("down")
    for _ in range(2):
        with pytest.raises(Unavailable):
            keyring.find("1")
    secret.failure = None
    secret.stages = {}
    with pytest.raises(Unavailable):
        keyring.signing()


def test_a_rotation_between_two_reads_hides_no_key_that_signs(secret: Secret, time: Time) -> None:
    # Given a rotation that ends just after the current version was read
    def read(stage: str) -> str | None:
        found = secret.read(stage)
        if stage == "AWSCURRENT" and len(secret.reads) == 1:
            secret.rotate("2")
        return found

    keyring = Keyring(read, time.clock.monotonic)

    # Then the key whose tokens live is there, and the new one is looked for
    assert keyring.find("1") is not None
    time.pass_by(LOOKS_AGAIN_SECONDS)
    assert keyring.find("2") is not None


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"kid": "1"}', '{"secret": "s"}', '{"kid": 1, "secret": "s"}', '{"kid": "1", "secret": ""}']
    + [json.dumps({"kid": kid, "secret": "s"}) for kid in ("", "a.b", "a b", "ü", "k" * 65)],
)
def test_a_secret_of_another_form_signs_nothing(text: str) -> None:
    with pytest.raises(WeirError, match="not of the form"):
        Keyring(lambda _: text, lambda: 0.0).signing()


def test_known_keys_outlast_a_current_version_of_another_form(
    keyring: Keyring, secret: Secret, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    # Given known keys, and a current version that somebody wrote by hand
    known = keyring.signing()
    good, secret.stages = secret.stages, {"AWSCURRENT": "hand-written"}
    time.pass_by(KEPT_SECONDS)

    # Then they serve on, and the log tells of it, without the secret
    assert keyring.signing() == known
    assert keyring.find("1") == known
    assert [record.message for record in caplog.records] == ["the signing secret can't be read; known keys serve on"]
    assert "hand-written" not in repr([vars(record) for record in caplog.records])

    # But not for ever
    time.pass_by(OUTLASTS_SECONDS)
    with pytest.raises(WeirError):
        keyring.signing()

    # And when it is mended, the version of another form is the one before, and in nobody's way
    secret.stages = {"AWSCURRENT": good["AWSCURRENT"], "AWSPREVIOUS": "hand-written"}
    assert keyring.signing() == known


@given(st.lists(st.sampled_from(["rotate", "wait", "ask", "guess"]), max_size=40))
def test_the_key_that_signs_is_always_found_and_names_itself(steps: list[str]) -> None:
    # Given any order of rotations, waits and questions
    secret, time = Secret(), Time()
    keyring = Keyring(secret.read, time.clock.monotonic)
    for number, step in enumerate(steps):
        match step:
            case "rotate":
                secret.rotate(f"k{number}")
            case "wait":
                time.pass_by(200)
            case "guess":
                keyring.find("nobodys")
            case "ask":
                key = keyring.signing()
                assert keyring.find(key.kid) == key
                assert json.loads(secret_text(key.kid))["secret"].encode() == key.secret

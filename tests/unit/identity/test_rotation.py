"""Rotation of the signing secret: four steps, each of which may come again, on this secret and its pending version."""

import json
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from weir.identity import rotation
from weir.identity.keyring import Keyring
from weir.identity.rotation import LEAST_SECRET, NotRotating
from weir.identity.secretsmanager import Versions
from weir.runtime.errors import Invalid, TooManyRequests, Unavailable, WeirError

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
FIRST, SECOND = "51f72378-6a5d-5dc7-8fd8-29e4319f482a", "0b9cd4c5-3f3e-4a5c-8f2b-6f1f4c1e8a11"
SECRET = json.dumps({"kid": "1", "secret": "s" * 64})


class Secret:
    """A secret whose rotation Secrets Manager has begun: a pending version has an id, and no value yet."""

    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:weir-signing-AbCdEf"

    def __init__(self) -> None:
        self.of: dict[str, set[str]] = {"initial": {"AWSCURRENT"}}
        self.values: dict[str, str] = {"initial": SECRET}

    def begin(self, version: str) -> None:
        for stages in self.of.values():
            stages.discard("AWSPENDING")
        self.of[version] = {"AWSPENDING"}

    def stages(self) -> dict[str, frozenset[str]]:
        return {version: frozenset(stages) for version, stages in self.of.items()}

    def value(self, stage: str, version: str | None = None) -> str | None:
        found = [one for one, stages in self.of.items() if stage in stages and version in {None, one}]
        return self.values.get(found[0]) if found else None

    def put_pending(self, version: str, text: str) -> None:
        self.values.setdefault(version, text)

    def make_current(self, version: str, instead_of: str) -> None:
        for stages in self.of.values():
            stages.discard("AWSPREVIOUS")
        self.of[instead_of] = (self.of[instead_of] - {"AWSCURRENT"}) | {"AWSPREVIOUS"}
        self.of[version] = {"AWSCURRENT", "AWSPENDING"}

    def keyring(self) -> Keyring:
        return Keyring(self.value, lambda: 0.0)


@pytest.fixture
def secret() -> Secret:
    made = Secret()
    made.begin(FIRST)
    return made


def rotate(event: dict[str, Any], secret: Secret, told: list[str] | None = None) -> str:
    """A step; ``told`` gets the version that has become current."""
    return rotation.rotate(event, secret, ([] if told is None else told).append)


def event(step: str, version: str = FIRST, secret_id: str = Secret.arn) -> dict[str, Any]:
    return {"SecretId": secret_id, "ClientRequestToken": version, "Step": step}


def test_after_four_steps_another_key_signs_and_the_one_before_still_verifies(secret: Secret) -> None:
    # Given a key that signs
    before = secret.keyring().signing()

    # When Secrets Manager takes the four steps
    outcomes = [rotate(event(step), secret) for step in STEPS]

    # Then another one signs, which is long enough, and what the one before has signed is known still
    keyring = secret.keyring()
    now = keyring.signing()
    assert outcomes[0] == "made"
    assert outcomes[3] == "finished"
    assert now.kid != before.kid
    assert now.secret != before.secret
    assert len(now.secret) >= LEAST_SECRET
    assert keyring.find(before.kid) == before
    assert keyring.find(now.kid) == now


def test_each_step_may_come_again(secret: Secret) -> None:
    # When every step is taken twice, and the whole rotation once more
    for step in STEPS:
        rotate(event(step), secret)
        value = secret.values[FIRST]
        rotate(event(step), secret)
        assert secret.values[FIRST] == value
    stages = secret.stages()
    assert [rotate(event(step), secret) for step in STEPS] == ["done before"] * 4

    # Then nothing is changed by that
    assert secret.stages() == stages


def test_the_version_that_has_become_current_is_told_after_it_has(secret: Secret) -> None:
    # When a rotation takes its four steps, Then it is told once, at the end
    told: list[str] = []
    for step in STEPS[:3]:
        rotate(event(step), secret, told)
    assert told == []
    rotate(event("finishSecret"), secret, told)
    assert told == [FIRST]


def test_a_rotation_that_could_not_be_told_is_told_when_its_last_step_comes_again(secret: Secret) -> None:
    # Given a rotation whose last step failed after the version had become current
    for step in STEPS[:3]:
        rotate(event(step), secret)

    def fail(_: str) -> None:
        raise Unavailable("the audit can't be written")

    with pytest.raises(Unavailable):
        rotation.rotate(event("finishSecret"), secret, fail)

    # When it comes again, with those before it, Then it is told, once
    told: list[str] = []
    assert [rotate(event(step), secret, told) for step in STEPS] == ["done before"] * 4
    assert told == [FIRST]


def test_a_rotation_that_can_not_finish_tells_nothing(secret: Secret) -> None:
    # Given a secret whose current version is gone
    rotate(event("createSecret"), secret)
    secret.of["initial"] = set()
    told: list[str] = []
    with pytest.raises(NotRotating):
        rotate(event("finishSecret"), secret, told)
    assert told == []


def test_a_current_version_of_another_form_is_rotated_away(secret: Secret) -> None:
    # Given a current version that somebody wrote by hand
    secret.values["initial"] = "hand-written"
    for step in STEPS:
        rotate(event(step), secret)
    assert secret.keyring().signing().kid == FIRST.replace("-", "")[:16]


def test_a_rotation_that_died_is_followed_by_one_that_finishes(secret: Secret) -> None:
    # Given a rotation that made a version and came no further
    rotate(event("createSecret"), secret)

    # When the next one is begun with a version of its own
    secret.begin(SECOND)
    for step in STEPS:
        rotate(event(step, SECOND), secret)

    # Then its key signs, and the version that died may not go on
    assert json.loads(str(secret.value("AWSCURRENT")))["kid"] == SECOND.replace("-", "")[:16]
    with pytest.raises(NotRotating):
        rotate(event("finishSecret", FIRST), secret)


@pytest.mark.parametrize("step", STEPS)
def test_another_secret_is_left_alone(secret: Secret, step: str) -> None:
    with pytest.raises(NotRotating, match="no other"):
        rotate(event(step, secret_id=Secret.arn.replace("signing", "pepper")), secret)
    assert FIRST not in secret.values


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("version", ["unknown", "old"])
def test_a_version_that_is_not_pending_is_left_alone(secret: Secret, step: str, version: str) -> None:
    # Given a version that is not there, and one that has only been current
    secret.of["old"] = {"AWSPREVIOUS"}
    secret.values["old"] = json.dumps({"kid": "0", "secret": "o" * 64})

    # Then no step makes anything of it
    with pytest.raises(NotRotating, match="not pending"):
        rotate(event(step, version), secret)
    assert secret.stages()["initial"] == {"AWSCURRENT"}


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        "{}",
        '{"kid": "2"}',
        json.dumps({"kid": "2", "secret": "short"}),
        json.dumps({"kid": "1", "secret": "n" * 64}),
    ],
)
def test_what_can_not_sign_does_not_pass_the_test(secret: Secret, text: str) -> None:
    # Given a pending version of another form, with a short secret, or with a kid that is in use
    secret.values[FIRST] = text
    with pytest.raises(Invalid) as refused:
        rotate(event("testSecret"), secret)
    assert "nnn" not in refused.value.detail


def test_a_version_without_a_value_does_not_pass_the_test(secret: Secret) -> None:
    with pytest.raises(NotRotating, match="no value"):
        rotate(event("testSecret"), secret)


def test_a_step_that_is_none_is_refused(secret: Secret) -> None:
    with pytest.raises(Invalid, match="no step"):
        rotate(event("dropSecret"), secret)


@pytest.fixture
def client() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_ACCESS_KEY_ID", "a")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        yield botocore.session.get_session().create_client("secretsmanager", region_name="eu-west-1")


def test_the_versions_of_a_real_secret(client: Any) -> None:
    # Given a secret, and a version of it that is pending
    arn = client.create_secret(Name="signing", SecretString=SECRET)["ARN"]
    versions = Versions(client, arn)
    ((initial, stages),) = versions.stages().items()
    assert stages == {"AWSCURRENT"}
    assert versions.value("AWSCURRENT") == SECRET
    assert versions.value("AWSPENDING") is None
    assert versions.value("AWSPENDING", FIRST) is None
    versions.put_pending(FIRST, "new")
    assert versions.stages()[FIRST] == {"AWSPENDING"}
    assert versions.value("AWSPENDING", FIRST) == "new"

    # When it is made current / Then the one before is the previous one
    versions.make_current(FIRST, initial)
    assert "AWSCURRENT" in versions.stages()[FIRST]
    assert versions.stages()[initial] == {"AWSPREVIOUS"}
    assert (versions.value("AWSCURRENT"), versions.value("AWSPREVIOUS")) == ("new", SECRET)


def test_a_version_that_has_its_value_keeps_it(client: Any) -> None:
    # Given Secrets Manager, which refuses a second value for a version
    with Stubber(client) as stub:
        stub.add_client_error("put_secret_value", "ResourceExistsException")
        Versions(client, "arn").put_pending(FIRST, "another")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("ThrottlingException", TooManyRequests),
        ("InternalServiceError", WeirError),
        ("AccessDeniedException", WeirError),
    ],
)
def test_what_fails_is_told_without_the_secret(client: Any, code: str, expected: type[WeirError]) -> None:
    versions = Versions(client, "arn")
    with Stubber(client) as stub:
        for operation in ("describe_secret", "get_secret_value", "put_secret_value", "update_secret_version_stage"):
            stub.add_client_error(operation, code)
        for attempt in (
            versions.stages,
            lambda: versions.value("AWSCURRENT"),
            lambda: versions.put_pending(FIRST, "s3cret"),
            lambda: versions.make_current(FIRST, SECOND),
        ):
            with pytest.raises(expected) as failed:
                attempt()
            assert "s3cret" not in str(failed.value)

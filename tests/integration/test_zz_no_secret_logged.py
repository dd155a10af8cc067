"""Near the end of the suite: no secret that any test has used stands in a log, whole or by the part that matters."""

import json

import pytest

from local import places
from tests.integration import secret_texts
from tests.integration.conftest import Stack
from tests.integration.test_attacks import logged

LEAST_USED = 20
FILES_ALONE = 4
"""Of the suite, that no other test runs beside; the rest leaves what it has used, in two processes."""

"""Secrets that a pass of the suite uses at the very least: a test that looks for none would hold too."""

SEEN = {
    *("auth", "authorizer", "users", "api_keys", "first_admin", "rotate_signing_key"),
    *("oauth", "streams", "runs"),
}
"""Functions that get secrets, or the tokens of who calls them: logs that nothing was looked for in prove nothing."""


def stored_secrets(deployed: Stack) -> None:
    """Note what the stack itself keeps secret, in all its versions."""
    service = deployed.client("secretsmanager")
    for page in service.get_paginator("list_secrets").paginate():
        for one in page["SecretList"]:
            for stage in ("AWSCURRENT", "AWSPREVIOUS"):
                if stage in {name for names in one["SecretVersionsToStages"].values() for name in names}:
                    text = service.get_secret_value(SecretId=one["ARN"], VersionStage=stage)["SecretString"]
                    values = json.loads(text) if text.startswith("{") else {"text": text}
                    secret_texts.remember(*(str(value) for value in values.values()))


@pytest.mark.local_only
def test_no_secret_of_the_suite_stands_in_a_log(deployed: Stack, request: pytest.FixtureRequest) -> None:
    # Given every secret that was sent, answered or stored while the tests ran
    stored_secrets(deployed)
    files = {item.path for item in request.session.items}
    assert secret_texts.take() >= 2 or len(files) > FILES_ALONE, "run it with the rest of the suite"
    secrets = list(secret_texts.known())
    assert len(secrets) > LEAST_USED, "run it with the rest of the suite"

    # When every log is read: what the functions wrote, and what the local AWS itself wrote
    lines = list(logged(deployed))
    groups = {group.rpartition("/")[2] for group, _ in lines}
    assert groups >= SEEN
    lines += [("aws.log", line) for line in places.LOG_FILE.read_text(errors="replace").splitlines()]
    found = {(group, index) for group, line in lines for index, secret in enumerate(secrets) if secret in line}

    # Then none of them is there; and nothing is told of one here but where it was found
    assert sorted({group for group, _ in found}) == []

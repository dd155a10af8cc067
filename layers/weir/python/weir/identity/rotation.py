"""Rotation of the signing secret: Secrets Manager's four steps, each of which may be called again.

The version before stays readable as AWSPREVIOUS, so that what it has signed is good until it expires. The ``kid`` by
which a token names the new one follows from the version's id.
https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
"""

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from weir.identity.keyring import key_of
from weir.runtime.errors import Conflict, Invalid

CURRENT, PREVIOUS, PENDING = "AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"
LEAST_SECRET = 32
"""Bytes: a key of HS256 is no shorter than its hash (RFC 7518, section 3.2)."""


class Versions(Protocol):
    """The versions of a secret; ``secretsmanager.Versions`` is Secrets Manager's."""

    @property
    def arn(self) -> str: ...
    def stages(self) -> Mapping[str, frozenset[str]]: ...
    def value(self, stage: str, version: str | None = None) -> str | None: ...
    def put_pending(self, version: str, text: str) -> None: ...
    def make_current(self, version: str, instead_of: str) -> None: ...


class NotRotating(Conflict):
    """The version is not one that a rotation of this secret has begun."""

    slug = "not-rotating"


def rotate(event: Mapping[str, Any], versions: Versions, rotated: Callable[[str], None]) -> str:
    """Take one step of a rotation; answers what it came to, in words, for the log.

    Parameters
    ----------
    event
        ``{"SecretId": ..., "ClientRequestToken": ..., "Step": ...}``, as Secrets Manager sends it.
    rotated
        Told the version's id once it is current. Where the last step comes again it is told again: what it failed to
        write down would be missing else.

    Raises
    ------
    NotRotating
        The secret is another one, or the version is not pending.
    Invalid
        The step is none of the four, or the new version can't sign.
    """
    version, step = str(event["ClientRequestToken"]), event["Step"]
    if event["SecretId"] != versions.arn:
        raise NotRotating("This function rotates the signing secret and no other.")
    stages = versions.stages()
    if CURRENT in stages.get(version, ()):
        if step == "finishSecret":
            rotated(version)
        return "done before"
    if PENDING not in stages.get(version, ()):
        raise NotRotating(f"The version {version} is not pending.")
    match step:
        case "createSecret":
            return _create(version, versions)
        case "setSecret":
            return "nothing to set: the functions that sign read the secret itself"
        case "testSecret":
            return _test(version, versions)
        case "finishSecret":
            _finish(version, stages, versions)
            rotated(version)
            return "finished"
        case _:
            raise Invalid(f"{step!r} is no step of a rotation.")


def _create(version: str, versions: Versions) -> str:
    if versions.value(PENDING, version) is not None:
        return "made before"
    document = {"kid": version.replace("-", "")[:16], "secret": secrets.token_urlsafe(48)}
    versions.put_pending(version, json.dumps(document))
    return "made"


def _test(version: str, versions: Versions) -> str:
    """Read the new version as those who sign will, and see that it is another key than any in use."""
    pending = versions.value(PENDING, version)
    if pending is None:
        raise NotRotating(f"The version {version} has no value yet.")
    key = key_of(pending)
    if key is None:
        raise Invalid("The new version is not of the form of a signing secret.")
    if len(key.secret) < LEAST_SECRET:
        raise Invalid(f"The new version's secret is shorter than {LEAST_SECRET} bytes.")
    for stage in (CURRENT, PREVIOUS):
        text = versions.value(stage)
        used = key_of(text) if text is not None else None
        if used is not None and used.kid == key.kid:
            raise Invalid(f"The new version has the kid of the one that is {stage}.")
    return "tested"


def _finish(version: str, stages: Mapping[str, frozenset[str]], versions: Versions) -> None:
    current = [one for one, its in stages.items() if CURRENT in its]
    if len(current) != 1:
        raise NotRotating("The secret has no current version to take over from.")
    versions.make_current(version, current[0])

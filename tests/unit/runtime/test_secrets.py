"""Secrets: read once, failures told without the reason's words, and tried again the next time."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from weir.runtime import aws, secrets
from weir.runtime.errors import Unavailable, UpstreamFailed


class Store:
    """Secrets Manager, which may fail."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failures: list[Exception] = []

    def get_secret_value(self, SecretId: str, VersionStage: str = "") -> dict[str, Any]:  # noqa: N803 (AWS's names)
        self.asked.append(f"{SecretId} {VersionStage}".strip())
        if self.failures:
            raise self.failures.pop(0)
        return {"SecretString": f"{VersionStage or 'secret'} of {SecretId}"}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    made = Store()
    monkeypatch.setattr(aws, "client", lambda service: {"secretsmanager": made}[service])
    secrets.secret.cache_clear()
    yield made
    secrets.secret.cache_clear()


def test_a_secret_is_read_once(store: Store) -> None:
    assert [secrets.secret("a"), secrets.secret("a"), secrets.secret("b")] == ["secret of a"] * 2 + ["secret of b"]
    assert store.asked == ["a", "b"]


def test_a_failure_is_translated_and_not_kept(store: Store) -> None:
    # Given a store that does not answer once
    store.failures.append(EndpointConnectionError(endpoint_url="https://x"))
    with pytest.raises(Unavailable):
        secrets.secret("a")
    # When it is asked again / Then it answers
    assert secrets.secret("a") == "secret of a"


def test_a_refusal_names_neither_secret_nor_role(store: Store) -> None:
    told = {"Error": {"Code": "AccessDeniedException", "Message": "role/inner may not read arn:secret"}}
    store.failures.append(ClientError(told, "GetSecretValue"))  # type: ignore[arg-type]
    with pytest.raises(UpstreamFailed) as caught:
        secrets.secret("arn:secret")
    assert "arn:secret" not in caught.value.detail
    assert "role/inner" not in caught.value.detail


def test_a_mistake_of_our_own_is_not_dressed_up_as_awss(store: Store) -> None:
    store.failures.append(KeyError("ours"))
    with pytest.raises(KeyError):
        secrets.secret("a")


def test_a_version_is_read_each_time_by_its_stage(store: Store) -> None:
    assert [secrets.version("a", stage) for stage in ("AWSCURRENT", "AWSCURRENT")] == ["AWSCURRENT of a"] * 2
    assert secrets.version("a", "AWSPREVIOUS") == "AWSPREVIOUS of a"
    assert store.asked == ["a AWSCURRENT", "a AWSCURRENT", "a AWSPREVIOUS"]


def test_a_stage_without_a_version_is_none(store: Store) -> None:
    told = {"Error": {"Code": "ResourceNotFoundException", "Message": "can't find the specified secret value"}}
    store.failures.append(ClientError(told, "GetSecretValue"))  # type: ignore[arg-type]
    assert secrets.version("a", "AWSPREVIOUS") is None


def test_a_version_that_cant_be_read_is_told_as_any_secret(store: Store) -> None:
    store.failures += [EndpointConnectionError(endpoint_url="https://x"), KeyError("ours")]
    with pytest.raises(Unavailable):
        secrets.version("a", "AWSCURRENT")
    with pytest.raises(KeyError):
        secrets.version("a", "AWSCURRENT")

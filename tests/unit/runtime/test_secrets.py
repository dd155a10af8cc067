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

    def get_secret_value(self, SecretId: str) -> dict[str, Any]:  # noqa: N803 (AWS's name)
        self.asked.append(SecretId)
        if self.failures:
            raise self.failures.pop(0)
        return {"SecretString": f"secret of {SecretId}"}


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

"""The keys of providers, in Secrets Manager: written by admins, read by the gateway, told to nobody.

Each key has a secret of its own, whose text never changes: a new key is a new secret, and the provider's item tells
which one counts. So a change of provider and key is one conditional write, and what a process remembers of a secret is
never that of another key.
https://docs.aws.amazon.com/secretsmanager/latest/userguide/best-practices.html
"""

import secrets as random
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import Any

from weir.llm.errors import KeyMissing
from weir.llm.models import Provider
from weir.runtime import aws
from weir.runtime.errors import WeirError

KEPT_SECONDS = 300.0
"""How long a key is used before it is read anew."""

OUTLASTS_SECONDS = 3_600.0
"""How long it is used on while Secrets Manager does not answer."""

RECOVERY_DAYS = 7
"""For which a key that was replaced can be brought back, by an operator; the fewest that there can be."""

_GONE = {"ResourceNotFoundException", "InvalidRequestException"}
"""The second is told of a secret that is to be deleted."""


class Vault:
    """Writes keys, over botocore's client. WeirErrors where Secrets Manager refuses or fails.

    Parameters
    ----------
    prefix
        Of the secrets' names: what the function's rights are bound to.
    kms_key
        ARN of the key that encrypts them; empty for the account's own.
    """

    def __init__(self, client: Any, prefix: str, kms_key: str = "") -> None:
        self._client, self._prefix, self._kms_key = client, prefix, kms_key

    def put(self, provider: str, key: str) -> str:
        """Store a provider's key; answers the ARN of its secret."""
        encrypted = {"KmsKeyId": self._kms_key} if self._kms_key else {}
        try:
            answer = self._client.create_secret(
                Name=f"{self._prefix}{provider}/{random.token_hex(8)}",
                Description=f"Key of the model provider {provider}; put in through the API.",
                SecretString=key,
                **encrypted,
            )
        except Exception as error:
            raise _translated(error, "storing a provider's key") from error
        return str(answer["ARN"])

    def drop(self, arn: str) -> None:
        """Delete a key that counts no more; gone already is well, too."""
        try:
            self._client.delete_secret(SecretId=arn, RecoveryWindowInDays=RECOVERY_DAYS)
        except Exception as error:
            if aws.error_code(error) not in _GONE:
                raise _translated(error, "deleting a provider's key") from error


class Keys:
    """Reads keys, each once in a while.

    Parameters
    ----------
    read
        Answers a secret's text by its ARN, None where it is gone; WeirError where it can't be read.
    now_of
        Answers a provider by name as the table has it at this moment.
    monotonic
        Answers seconds.
    """

    def __init__(
        self, read: Callable[[str], str | None], now_of: Callable[[str], Provider], monotonic: Callable[[], float]
    ) -> None:
        self._read, self._now_of, self._monotonic = read, now_of, monotonic
        self._known: dict[str, tuple[float, str]] = {}
        self._lock = Lock()

    def provider_key(self, provider: Provider) -> str:
        """The key to call a provider with; empty where it needs none.

        Where the secret is gone, the provider was given another key since it was looked up: that one is answered.

        Raises
        ------
        KeyMissing
            Its secret is gone, and no other is in its place.
        """
        if not provider.secret_arn:
            return ""
        found = self._of(provider.secret_arn)
        if found is None:
            arn = self._now_of(provider.name).secret_arn
            found = self._of(arn) if arn and arn != provider.secret_arn else None
        if found is None:
            raise KeyMissing(f"The key of the provider {provider.name!r} is gone. Ask an admin to give it anew.")
        return found

    def known(self, provider: Provider) -> str | None:
        """The same where it need not be read now, else None."""
        if not provider.secret_arn:
            return ""
        read_at, key = self._known.get(provider.secret_arn, (float("-inf"), ""))
        return key if self._monotonic() - read_at < KEPT_SECONDS else None

    def _of(self, arn: str) -> str | None:
        now = self._monotonic()
        read_at, key = self._known.get(arn, (float("-inf"), ""))
        if now - read_at < KEPT_SECONDS:
            return key
        try:
            found = self._read(arn)
        except WeirError:
            if now - read_at < OUTLASTS_SECONDS:
                return key
            raise
        with self._lock:
            if found is None:
                self._known.pop(arn, None)
            else:
                self._known[arn] = (now, found)
        return found


def read(arn: str) -> str | None:
    """The text of a secret, None where it is gone. WeirError where Secrets Manager refuses or fails."""
    try:
        answer = aws.client("secretsmanager").get_secret_value(SecretId=arn)
    except Exception as error:
        if aws.error_code(error) in _GONE:
            return None
        raise _translated(error, "reading a provider's key") from error
    return str(answer["SecretString"])


def provider_key(provider: Provider) -> str:
    """The key to call a provider with, as ``Keys.provider_key`` of this process's keys."""
    return _keys().provider_key(provider)


def known_key(provider: Provider) -> str | None:
    """The same where it need not be read now, else None."""
    return _keys().known(provider)


@lru_cache(maxsize=1)
def _keys() -> Keys:
    from weir.llm.store import Store
    from weir.llm.table import table
    from weir.runtime.clock import SYSTEM

    return Keys(read, Store(table(), SYSTEM).provider, SYSTEM.monotonic)


def _translated(error: Exception, doing: str) -> Exception:
    return aws.translate(error, doing) if aws.is_aws_error(error) else error

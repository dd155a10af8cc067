"""The signing secret: the key that signs, and the one before it, by which what it signed holds on through a rotation.

The secret is JSON, ``{"kid": ..., "secret": ...}``. Whoever signs names the ``kid``; whoever verifies chooses by it.
https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from weir.runtime.errors import Unavailable, WeirError
from weir.runtime.observability import logger

CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
KEPT_SECONDS = 300.0
LOOKS_AGAIN_SECONDS = 5.0
"""Between two looks at least, however many tokens come with a ``kid`` that nobody knows: two reads in five seconds are
what strangers can make a process ask for, without end, and cost next to nothing.
"""

OUTLASTS_SECONDS = 3_600.0
"""How long the keys read last are used on while Secrets Manager does not answer."""

_KID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Key:
    """A key of HMAC-SHA-256, and the name that tokens know it by."""

    kid: str
    secret: bytes = field(repr=False)


class Keyring:
    """The keys of one process.

    Parameters
    ----------
    read
        Answers the secret's text in a stage, None where no version is in it; WeirError where it can't be read.
    monotonic
        Answers seconds.
    """

    def __init__(self, read: Callable[[str], str | None], monotonic: Callable[[], float]) -> None:
        self._read, self._monotonic = read, monotonic
        self._keys: tuple[Key, ...] = ()
        self._read_at = self._tried_at = float("-inf")

    def signing(self) -> Key:
        """The key that signs. WeirError where the secret can't be read, or is of another form."""
        self._refresh()
        return self._keys[0]

    def find(self, kid: str) -> Key | None:
        """The key of a name; None where there is none now.

        A name that is not known may be a new key's, so it is looked for, though not each time: for
        ``LOOKS_AGAIN_SECONDS`` after a look a new key's name is nobody's, as a made-up one is. For they can't be told
        apart, and were either an outage, strangers could raise the alarm by making names up. Errors as ``signing``.
        """
        self._refresh()
        if (key := self._known(kid)) is None and self._may_look():
            self._look()
            key = self._known(kid)
        return key

    def _known(self, kid: str) -> Key | None:
        return next((key for key in self._keys if key.kid == kid), None)

    def _may_look(self) -> bool:
        return self._monotonic() - self._tried_at >= LOOKS_AGAIN_SECONDS

    def _refresh(self) -> None:
        """Look again where it is time; keys that are known outlast a Secrets Manager that does not answer."""
        age = self._monotonic() - self._read_at
        if age < KEPT_SECONDS or (age < OUTLASTS_SECONDS and not self._may_look()):
            return
        try:
            self._look()
        except WeirError as error:
            if age >= OUTLASTS_SECONDS:
                raise
            logger().warning("the signing secret can't be read; known keys serve on", extra={"reason": error.detail})

    def _look(self) -> None:
        self._tried_at = now = self._monotonic()
        current = self._read(CURRENT)  # first: were it read last, a rotation in between would hide the key before it
        if current is None:
            raise Unavailable("The signing secret has no current version yet; try again.", retry_after=5)
        previous = self._read(PREVIOUS)
        signing = key_of(current)
        if signing is None:
            raise WeirError("The signing secret is not of the form that signs. Tell an operator.")
        before = key_of(previous) if previous is not None else None  # one of another form has signed nothing
        self._keys = (signing,) if before is None else (signing, before)
        self._read_at = now


def key_of(text: str) -> Key | None:
    """The key in a version's text, None where it is of another form: ``{kid, secret}``, the kid of A-Z a-z 0-9 _ -."""
    try:
        document = json.loads(text)
        kid, secret = document["kid"], document["secret"]
        if not isinstance(kid, str) or not _KID.fullmatch(kid) or not isinstance(secret, str) or not secret:
            return None
        return Key(kid, secret.encode())
    except (ValueError, KeyError, TypeError):
        return None

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
        self._current: Key | None = None
        self._before: Key | None = None
        self._knows_before = False
        self._read_at = self._tried_at = self._failed_at = float("-inf")

    def signing(self) -> Key:
        """The key that signs. WeirError where the secret can't be read, or is of another form."""
        self._refresh()
        assert self._current is not None
        return self._current

    def find(self, kid: str) -> Key | None:
        """The key of a name; None where there is none now.

        A name that is not the current key's may be that of the key before, which is read then: nobody needs it who has
        met no token from before a rotation. Else it may be a new key's, so it is looked for, though not each time: for
        ``LOOKS_AGAIN_SECONDS`` after a look a new key's name is nobody's, as a made-up one is. For they can't be told
        apart, and were either an outage, strangers could raise the alarm by making names up. Errors as ``signing``.
        """
        self._refresh()
        if (key := self._known(kid)) is None and self._may_look():
            self._look()
            key = self._known(kid)
        return key

    def _known(self, kid: str) -> Key | None:
        if self._current is not None and self._current.kid == kid:
            return self._current
        if not self._knows_before:
            self._look_back()
        return self._before if self._before is not None and self._before.kid == kid else None

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
        text = self._read(CURRENT)
        if text is None:
            raise Unavailable("The signing secret has no current version yet; try again.", retry_after=5)
        current = key_of(text)
        if current is None:
            raise WeirError("The signing secret is not of the form that signs. Tell an operator.")
        if current != self._current:
            # What was current is the one before only if it was one rotation, so it is not taken for it unread.
            self._current, self._before, self._knows_before = current, None, False
        self._read_at = now

    def _look_back(self) -> None:
        """Read the key before the current one: once, for it changes with that alone."""
        now = self._monotonic()
        if now - self._failed_at < LOOKS_AGAIN_SECONDS:
            raise Unavailable("The signing secret can't be read; try again shortly.", retry_after=5)
        try:
            text = self._read(PREVIOUS)
        except WeirError:
            self._failed_at = now
            raise
        self._before = key_of(text) if text is not None else None  # one of another form has signed nothing
        self._knows_before = True


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

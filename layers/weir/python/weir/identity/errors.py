"""What identity refuses beyond the errors of the runtime."""

from weir.runtime.errors import Conflict, NotFound, TooManyRequests, Unauthenticated


class BadCredentials(Unauthenticated):
    """User name or password is wrong: the same words for both, and for a user that is disabled."""

    slug = "bad-credentials"


class BadToken(Unauthenticated):
    """A token or key that does not hold. ``reason`` is for the log, never for the caller."""

    slug = "bad-token"

    def __init__(self, reason: str) -> None:
        super().__init__("The token or key does not hold. Log in again.")
        self.reason = reason


class TooManyAttempts(TooManyRequests):
    """Too many wrong passwords from here, or for this user, in a while."""

    slug = "too-many-attempts"


class NameTaken(Conflict):
    """Another user has this name or e-mail address."""

    slug = "name-taken"


class UserNotFound(NotFound):
    """There is no such user."""

    slug = "user-not-found"


class KeyNotFound(NotFound):
    """There is no such API key, or it is not the caller's."""

    slug = "key-not-found"

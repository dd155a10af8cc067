"""What a log-in by a provider is refused for. The caller is told what they can act on; ``reason`` is for the log."""

from weir.runtime.errors import BadRequest, Forbidden, NotFound, Timeout, Unauthenticated, UpstreamFailed, WeirError


class UnknownProvider(NotFound):
    """No such provider is set up."""

    slug = "unknown-provider"


class UnknownClient(BadRequest):
    """The client, or where it wants the browser sent, is not one that the operator named: never a redirect."""

    slug = "unknown-oauth-client"


class BadState(BadRequest):
    """The answer of a provider that belongs to no log-in begun here, in this browser, a short while ago."""

    slug = "bad-oauth-state"

    def __init__(self, reason: str) -> None:
        super().__init__("This log-in was not begun in this browser, or is over. Begin again.")
        self.reason = reason


class ProviderRefused(Unauthenticated):
    """What the provider said does not prove who is there."""

    slug = "provider-refused"

    def __init__(self, reason: str) -> None:
        super().__init__("The provider's answer does not prove who you are. Begin again.")
        self.reason = reason


class NotAUser(Forbidden):
    """Known to the provider, and nobody here: the same words for a user that is disabled."""

    slug = "not-a-user"

    def __init__(self, reason: str) -> None:
        super().__init__("There is no user here for this account. Ask an admin to make one with its e-mail address.")
        self.reason = reason


class GrantRefused(BadRequest):
    """What POST /auth/token can't change for tokens. ``error`` is RFC 6749's, section 5.2."""

    slug = "grant-refused"

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(detail, error=error)
        self.reason = error


class ProviderFailed(UpstreamFailed):
    """The provider answers wrongly, or can't be reached. ``detail`` names no address."""

    slug, title = "provider-failed", "The log-in provider failed"


class ProviderTimeout(Timeout):
    """The provider did not answer in its time."""

    slug, title = "provider-timeout", "The log-in provider timed out"


class BadProviders(WeirError):
    """The providers' secret can't be used. ``reason`` tells the log which entry and field, no value."""

    slug = "bad-providers"

    def __init__(self, reason: str) -> None:
        super().__init__("The log-in providers are not set up rightly. Tell an operator the request_id.")
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.detail} {self.reason}"

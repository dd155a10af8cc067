"""Entity tags of what has a revision (RFC 9110, 8.8.3 and 13.1)."""

from weir.runtime.clock import Clock


def first_revision(clock: Clock) -> int:
    """The revision that a new thing begins with: the time in milliseconds.

    So what is deleted and made anew has none that the older one had, and nobody who has read that one changes it.
    """
    return int(clock.epoch() * 1000)


def etag(revision: int) -> str:
    """A revision as an entity tag."""
    return f'"{revision}"'


def matches(if_match: str | None, revision: int) -> bool:
    """Whether ``If-Match`` names this revision, is ``*``, or was not sent."""
    if if_match is None or if_match.strip() == "*":
        return True
    return etag(revision) in [tag.strip() for tag in if_match.split(",")]

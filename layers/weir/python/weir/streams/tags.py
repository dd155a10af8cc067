"""The tags by which Weir knows its own streams again, and those that say what is still to be set, or to be alarmed on.

A stream is *managed* when ``weir:managed`` is ``true`` and ``weir:stack`` names this stack; nothing else counts, least
of all its name. Another stack's streams are none of this one's, though both may be Weir. A stream may be swept when it
is managed and its ``weir:expires-at`` can be read and has passed: a value that can't be read protects the stream.
``weir:pending-*`` name the settings that CreateStream can't take and an ACTIVE stream still has to get; ``weir:slo-*``
the milliseconds above which its alarms go off.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from weir.runtime.clock import parse_rfc3339
from weir.runtime.settings import settings

PREFIX = "weir:"
MANAGED = "weir:managed"
STACK = "weir:stack"
RUN_ID = "weir:run-id"
EXPIRES_AT = "weir:expires-at"
OWNER = "weir:owner"
PENDING_RETENTION = "weir:pending-retention-hours"
PENDING_KEY = "weir:pending-key-id"
SLO_LATENCY = "weir:slo-data-latency-ms"
SLO_ITERATOR_AGE = "weir:slo-iterator-age-ms"

MAX_VALUE_LENGTH = 256
"""Characters in a tag's value: https://docs.aws.amazon.com/streams/latest/dev/tagging.html"""


def managed_tags(owner: str, run_id: str | None, expires_at: datetime) -> dict[str, str]:
    """The tags that a stream of Weir's carries from its first moment.

    Parameters
    ----------
    owner
        The principal who asked for it. Characters that a tag can't hold become ``_``.
    run_id
        The run, or the request, that it was made for; None leaves the tag out.
    expires_at
        Aware; written in UTC, rounded up to whole seconds.
    """
    tags = {MANAGED: "true", STACK: settings().stack, OWNER: _tag_value(owner), EXPIRES_AT: _seconds(expires_at)}
    if run_id is not None:
        tags[RUN_ID] = _tag_value(run_id)
    return tags


def is_managed(tags: Mapping[str, str]) -> bool:
    """Whether this stack of Weir's made the stream with these tags."""
    return tags.get(MANAGED) == "true" and tags.get(STACK) == settings().stack


def is_of_run(tags: Mapping[str, str], run_id: str) -> bool:
    """Whether this stack of Weir's made the stream with these tags, and made it for this run."""
    return is_managed(tags) and tags.get(RUN_ID) == run_id


def expires_at(tags: Mapping[str, str]) -> datetime | None:
    """When the stream may be swept: aware UTC, or None where the tag is absent or can't be read."""
    text = tags.get(EXPIRES_AT)
    if not text:
        return None
    try:
        return parse_rfc3339(text)
    except ValueError:
        return None


def is_expired(tags: Mapping[str, str], now: datetime) -> bool:
    """Whether the stream is managed and its expiry has passed."""
    if not is_managed(tags):
        return False
    moment = expires_at(tags)
    return moment is not None and moment <= now


def allowed(text: str) -> bool:
    """Whether AWS takes every character: letters, digits, spaces, and ``_ . : / = + - @``."""
    return all(char.isalnum() or char in " _.:/=+-@" for char in text)


def _tag_value(text: str) -> str:
    return "".join(char if allowed(char) else "_" for char in text)[:MAX_VALUE_LENGTH]


def _seconds(moment: datetime) -> str:
    moment = moment.astimezone(UTC)
    rounded = datetime.fromtimestamp(-(-moment.timestamp() // 1), UTC)
    return rounded.strftime("%Y-%m-%dT%H:%M:%SZ")

"""What can go wrong with a stream, beside the errors that every context shares.

Source of the meanings: the error lists of the Kinesis API reference,
https://docs.aws.amazon.com/kinesis/latest/APIReference/CommonErrors.html
"""

from weir.runtime.errors import Conflict, Forbidden, Invalid, NotFound, TooManyRequests, Unavailable


class StreamNotFound(NotFound):
    """Kinesis knows no stream of this name, in this account and region."""

    slug, title = "stream-not-found", "No such stream"


class NotKnownYet(Unavailable):
    """Kinesis does not know the stream yet, seconds after it was made; it is eventually consistent, so try again."""

    slug, title = "stream-not-known-yet", "Kinesis does not know the stream yet"


class ShardNotFound(NotFound):
    """The stream is there, the shard is not."""

    slug, title = "shard-not-found", "No such shard"


class StreamExists(Conflict):
    """The name is taken by a stream that is not ours: it is left alone, whatever it is."""

    slug, title = "stream-exists", "The stream exists already"


class StreamBusy(Conflict):
    """The stream is CREATING, UPDATING or DELETING; carries ``retry_after``."""

    slug, title = "stream-busy", "The stream is changing"


class NotManaged(Forbidden):
    """Weir did not make this stream, so Weir does not change it."""

    slug, title = "not-managed", "Not a stream of Weir's"


class NotOwned(Forbidden):
    """Another user's stream: its owner and admins alone change it and read its records."""

    slug, title = "not-owned", "Another user's stream"


class ForceNotAllowed(Forbidden):
    """``force`` is for admins."""

    slug, title = "force-not-allowed", "Only an admin may force this"


class StreamQuotaExceeded(TooManyRequests):
    """A Kinesis quota of the account or of the stream stands in the way; carries ``retry_after``."""

    slug, title = "stream-quota-exceeded", "A Kinesis quota is reached"


class KeyUnusable(Invalid):
    """KMS refuses the key: missing, disabled, or not for Kinesis."""

    slug, title = "key-unusable", "The KMS key can't be used"


class IteratorExpired(Conflict):
    """A shard iterator lives five minutes; a reader resumes at its last sequence number."""

    slug, title = "iterator-expired", "The shard iterator has expired"

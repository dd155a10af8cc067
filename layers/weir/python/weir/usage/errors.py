"""What goes wrong with caps and with what is asked of usage."""

from weir.runtime.errors import Conflict, NotFound, PreconditionFailed


class CapNotFound(NotFound):
    """There is no cap of this id."""

    slug, title = "cap-not-found", "No such cap"


class CapExists(Conflict):
    """The subject has a cap of this window and measure already; ``cap_id`` tells which."""

    slug, title = "cap-exists", "The cap is there already"


class ShardsDiffer(Conflict):
    """Other caps of the subject are split otherwise: a subject has one counter, split one way."""

    slug, title = "shards-differ", "Split otherwise"


class CapChanged(PreconditionFailed):
    """Somebody else has changed it since it was read."""

    slug, title = "changed", "Changed since"

"""What goes wrong with signatures, and with imports from a hub."""

from weir.runtime.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable, UpstreamFailed


class KeyNotFound(NotFound):
    """No public key of this id is registered."""

    slug, title = "public-key-not-found", "No such public key"


class SignatureNotFound(NotFound):
    """The version has no signature."""

    slug, title = "signature-not-found", "No signature"


class SignatureRefused(Invalid):
    """The signature does not hold, is by no registered key, or is of something else."""

    slug, title = "signature-refused", "The signature is not taken"


class ImportNotFound(NotFound):
    """No import of this id, or another user's."""

    slug, title = "import-not-found", "No such import"


class ImportEnded(Conflict):
    """The import has ended, so that its steps do nothing any more."""

    slug, title = "import-ended", "The import has ended"


class ImportRefused(Invalid):
    """What the hub offers can't be a version: too many files, too large, a path that is not taken."""

    slug, title = "import-refused", "Not to be imported"


class CopyWrong(UpstreamFailed):
    """The bytes that came are not those that the hub tells of."""

    slug, title = "copy-wrong", "Other bytes than told of"


class RepositoryNotFound(NotFound):
    """The hub has no such repository, revision or file."""

    slug, title = "repository-not-found", "No such repository"


class HubRefuses(Forbidden):
    """The hub gives it to nobody who is not logged in there."""

    slug, title = "hub-refuses", "The hub refuses"


class HubFailed(UpstreamFailed):
    """The hub answers what can't be used, or leads where nobody may be sent."""

    slug, title = "hub-failed", "The hub answers wrongly"


class HubBusy(Unavailable):
    """The hub does not answer for the moment, or asks to wait."""

    slug, title = "hub-busy", "The hub is busy"

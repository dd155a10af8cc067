"""What goes wrong with packages."""

from weir.runtime.errors import Conflict, Forbidden, Invalid, NotFound, PreconditionFailed, Unavailable


class PackageNotFound(NotFound):
    """No package of this name, or none for this caller."""

    slug, title = "package-not-found", "No such package"


class VersionNotFound(NotFound):
    """The package has no such version or alias."""

    slug, title = "version-not-found", "No such version"


class FileNotFound(NotFound):
    """The version has no such file."""

    slug, title = "file-not-found", "No such file"


class UploadNotFound(NotFound):
    """No upload of this id in this version."""

    slug, title = "upload-not-found", "No such upload"


class NotTheOwner(Forbidden):
    """The package is another user's."""

    slug, title = "not-the-owner", "Not yours"


class NameTaken(Conflict):
    """A package of this name, or of one that looks like it, is there already."""

    slug, title = "name-taken", "The name is taken"


class VersionExists(Conflict):
    """The version is there with other content; a version never changes."""

    slug, title = "version-exists", "The version exists already"


class FileExists(Conflict):
    """The file is there, or being uploaded, with other bytes."""

    slug, title = "file-exists", "The file exists already"


class NotAvailable(Conflict):
    """The file or version is not in a state in which it may be used so."""

    slug, title = "not-available", "Not available"


class UploadEnded(Conflict):
    """The upload was aborted, or has expired: open another."""

    slug, title = "upload-ended", "The upload has ended"


class CommitUnderWay(Conflict):
    """Another commit of the same upload is at work; carries ``retry_after``."""

    slug, title = "commit-under-way", "A commit is under way"


class PartsWrong(Invalid):
    """The parts do not make up the file that was declared; ``errors`` name each."""

    slug, title = "parts-wrong", "The parts do not fit"


class Changed(PreconditionFailed):
    """Somebody else has changed it since it was read."""

    slug, title = "changed", "Changed since"


class Crowded(Unavailable):
    """Many are changing the same version at this moment; carries ``retry_after``."""

    slug, title = "crowded", "Many changes at once"

"""Names of packages and paths of their files: what is one, and which are told apart.

A name is stored in PyPI's normalized form (https://packaging.python.org/en/latest/specifications/name-normalization/).
A new one must not look like one that is there: the rule is that of the Python Package Index, which takes ``l``, ``1``
and ``i`` for one letter, ``o`` and ``0`` for another, and overlooks separators (Warehouse, ``ultranormalize_name``).
"""

import re
import unicodedata

NAME = r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$"
ALIAS = r"^[a-z](?:[a-z0-9-]{0,62}[a-z0-9])?$"
"""Begins with a letter, so that no alias is a version."""

CONTENT_TYPE = r"^[A-Za-z0-9!#$&^_.+-]{1,63}/[A-Za-z0-9!#$&^_.+-]{1,63}$"
"""A media type without parameters."""

RESERVED = frozenset({"audit", "import", "imports", "public-keys", "unverified"})
"""Paths below ``/packages`` that are routes."""

MOST_PATH_BYTES = 512
MOST_SEGMENT_BYTES = 255
"""What Linux, macOS and Windows take for the name of a file."""

_SEPARATORS = re.compile(r"[-_.]+")
_DOS = re.compile(r"^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$", re.IGNORECASE)


def normalized(name: str) -> str:
    """The stored form of a package's name: lower case, one ``-`` for each run of separators."""
    return _SEPARATORS.sub("-", name).lower()


def skeleton(name: str) -> str:
    """What all names that look alike have in common."""
    bare = _SEPARATORS.sub("", name).lower()
    return bare.translate(str.maketrans("lio", "110"))


def path_problem(path: str) -> str | None:
    """What forbids a file's path, in words; None where nothing does.

    A path is written to the disk of whoever pulls, on any system: relative, of ordinary segments, NFC, without
    characters that are not shown or that some file system can't hold.
    """
    if not path or len(path.encode("utf-8", "surrogatepass")) > MOST_PATH_BYTES:
        return f"must be 1 to {MOST_PATH_BYTES} bytes of UTF-8"
    if path != unicodedata.normalize("NFC", path):
        return "must be in Unicode's normal form C"
    if any(unicodedata.category(one) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for one in path):
        return "must not hold control, format or unassigned characters"
    if any(one in path for one in '\\:*?"<>|'):
        return 'must not hold any of \\ : * ? " < > |'
    for segment in path.split("/"):
        if segment in {"", ".", ".."}:
            return "must be relative, without empty segments, . and .."
        if len(segment.encode()) > MOST_SEGMENT_BYTES:
            return f"must not have segments of more than {MOST_SEGMENT_BYTES} bytes"
        if segment != segment.strip() or segment.endswith("."):
            return "must not have segments that begin or end with a space, or end with a dot"
        if _DOS.fullmatch(segment):
            return f"must not have the segment {segment}, which Windows keeps for itself"
    return None


def in_url(path: str) -> str:
    """A file's path as one segment of a URL: ``/`` is ``~1`` and ``~`` is ``~0``, as in RFC 6901."""
    return path.replace("~", "~0").replace("/", "~1")


def from_url(segment: str) -> str:
    """The path that ``in_url`` made a segment of."""
    return segment.replace("~1", "/").replace("~0", "~")

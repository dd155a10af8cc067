"""Semantic Versioning 2.0.0: what is a version, and which of two is newer (https://semver.org).

``order`` is a version as text that sorts, byte by byte, as SemVer section 11 says, so that a range key of a table keeps
versions in order. Build metadata takes no part in it: two versions that differ in it alone are one and the same.
"""

import re

MOST_CHARACTERS = 128

VERSION = re.compile(
    r"(?P<major>0|[1-9][0-9]*)\.(?P<minor>0|[1-9][0-9]*)\.(?P<patch>0|[1-9][0-9]*)"
    r"(?:-(?P<pre>(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+(?P<build>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)
"""The grammar that semver.org suggests."""

_RELEASE = "~"
"""After every pre-release of the same numbers: those begin with a digit's length or a letter's mark."""


def is_version(text: str) -> bool:
    """Whether a text is a version, of at most 128 characters."""
    return len(text) <= MOST_CHARACTERS and VERSION.fullmatch(text) is not None


def is_prerelease(version: str) -> bool:
    """Whether a version comes before the release of its numbers. ValueError where it is no version."""
    return _parsed(version)["pre"] is not None


def order(version: str) -> str:
    """The version as text that sorts like it. ValueError where it is no version."""
    found = _parsed(version)
    numbers = ".".join(_number(found[name]) for name in ("major", "minor", "patch"))
    if found["pre"] is None:
        return f"{numbers}.{_RELEASE}"
    # A space sorts before all else that follows: of two with the same beginning the shorter comes first (11.4.4).
    return f"{numbers}.{' '.join(map(_identifier, found['pre'].split('.')))} "


def _parsed(version: str) -> re.Match[str]:
    found = VERSION.fullmatch(version) if len(version) <= MOST_CHARACTERS else None
    if found is None:
        raise ValueError(f"{version[:64]!r} is no semantic version, such as 1.4.0 or 2.0.0-rc.1")
    return found


def _number(digits: str) -> str:
    """Digits behind how many they are, for 9 comes before 10."""
    return f"{len(digits):03d}{digits}"


def _identifier(text: str) -> str:
    """Numbers come before texts, and are compared as numbers (11.4.1 to 11.4.3)."""
    return f"0{_number(text)}" if text.isdigit() else f"1{text}"

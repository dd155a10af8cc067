"""User names and e-mail addresses, in the one form in which they are stored and looked up.

User names are ASCII, so that no look-alike of another script can stand for another user
(https://www.unicode.org/reports/tr39/); letter case does not tell two apart.
"""

import re

USERNAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{1,62}[A-Za-z0-9]$"
EMAIL = r"^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,8}$"
_USERNAME = re.compile(USERNAME)
_EMAIL = re.compile(EMAIL)

RESERVED = frozenset({"anonymous", "nobody", "system", "weir"})
"""Names, in their stored form, by which the audit and the log mean nobody in particular: no new user gets one."""


def username(text: str) -> str | None:
    """The stored form of a user name; None where it can be nobody's."""
    return text.lower() if _USERNAME.fullmatch(text) and text.isascii() else None


def for_new(text: str) -> str:
    """The stored form of the name of a user to be made. ValueError, with what to do about it, where it is reserved."""
    stored = text.lower()
    if stored in RESERVED:
        raise ValueError(f"{stored} is reserved; choose another name")
    return stored


def email(text: str) -> str | None:
    """The stored form of an e-mail address; None where it is none."""
    return text.lower() if _EMAIL.fullmatch(text) and len(text) <= 254 else None

"""Passwords: argon2id at OWASP's parameters, and what a new one must be.

https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html and NIST SP 800-63B, section 3.1.1.2:
length counts and common ones are refused; no rules on which characters. The same text can be typed as different code
points, so hashes are of the NFC form.
"""

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MEMORY_KIB, PASSES, LANES = 19_456, 2, 1
LEAST, MOST = 12, 256
MOST_TYPED = 1_024
"""Characters at log-in; what is longer is nobody's password, and is not hashed."""

_NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$4q6IQMw21hr+lzukknIBVw$UqNUOmHF6KoVhsQwNLWqXLD16WF34tsxE69rvTFbDZg"
"""The hash of random bytes that were kept nowhere: verified where there is no user, so that it takes as long."""

_COMMON = frozenset(
    {
        *("administrator", "admin", "changeme", "correcthorsebatterystaple", "default", "dragon", "football"),
        *("iloveyou", "letmein", "letmeinplease", "monkey", "mypassword", "newpassword", "passphrase", "password"),
        *("passwords", "princess", "qazwsx", "qazwsxedc", "qazwsxedcrfv", "qwerty", "root", "secret", "sunshine"),
        *("superman", "test", "thisismypassword", "trustno", "user", "weir", "welcome"),
    }
)
"""Words of the commonest passwords, without what people put before and after to reach a length."""

_RUNS = ("0123456789" * 26, "9876543210" * 26, "abcdefghijklmnopqrstuvwxyz" * 2, "qwertyuiopasdfghjklzxcvbnm" * 2)
_AROUND = "0123456789 !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_LOOKS_LIKE = str.maketrans("013457@$!", "oieastasi")
_REPEATED = re.compile(r"(.+?)\1+")
_LEAST_DIFFERENT = 5


@lru_cache(maxsize=1)
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher, Type  # 20 ms, for those alone who hash

    return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, type=Type.ID)


def hashed(password: str) -> str:
    """The hash of a password that ``problem`` has nothing against: 19 MiB, and some 35 ms of a core."""
    return _hasher().hash(_form(password))


def matches(password: str, hash_: str | None) -> bool:
    """Whether a password is the one of a hash. Where there is no hash it is not, which takes as long to tell."""
    from argon2.exceptions import VerifyMismatchError

    if not typeable(password):
        return False
    try:
        return _hasher().verify(hash_ or _NOBODYS, _form(password)) and hash_ is not None
    except VerifyMismatchError:
        return False


def needs_rehash(hash_: str) -> bool:
    """Whether a hash was made with other parameters than one would be today."""
    return _hasher().check_needs_rehash(hash_)


def typeable(password: str) -> bool:
    """Whether this can be anybody's password at all: told without a look at any user."""
    return len(password) <= MOST_TYPED and _is_text(password)


def problem(password: str, username: str) -> str | None:
    """What is wrong with a new password, in words for who chose it; None where nothing is."""
    if not _is_text(password):
        return "must be text, without the character NUL"
    text = unicodedata.normalize("NFC", password[: MOST_TYPED + 1])
    if not LEAST <= len(text) <= MOST:
        return f"must be {LEAST} to {MOST} characters long"
    if username.casefold() in text.casefold():
        return "must not hold the user name"
    if _is_common(text):
        return "is one of the first that anybody would try; choose another"
    return None


def _form(password: str) -> bytes:
    return unicodedata.normalize("NFC", password).encode()


def _is_text(password: str) -> bool:
    """Whether it can be hashed as UTF-8, to the end: JSON can name half a character, and some readers end at NUL."""
    return "\0" not in password and not any("\ud800" <= character <= "\udfff" for character in password)


def _is_common(text: str) -> bool:
    folded = text.casefold()
    if len(set(folded)) < _LEAST_DIFFERENT or any(folded in run for run in _RUNS):
        return True
    return _word(folded) in _COMMON or _word(folded.strip(_AROUND)) in _COMMON


def _word(text: str) -> str:
    """What is left of a text when it is said once, and without digits and punctuation around it."""
    repeated = _REPEATED.fullmatch(text)
    return (repeated[1] if repeated else text).strip(_AROUND).translate(_LOOKS_LIKE)

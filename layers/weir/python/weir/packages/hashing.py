"""SHA-256 that can be put down and taken up again, in another process.

A file of any size is hashed by functions that run for minutes, so the state between two of them is stored. hashlib does
not give its state away; the OpenSSL that it is linked with does: the SHA256_CTX of ``SHA256_Init``, ``SHA256_Update``
and ``SHA256_Final`` is 112 bytes without a pointer (openssl/sha.h). It is as fast as hashlib, the same code being at
work, and lets other threads run meanwhile.
"""

import ctypes
import ctypes.util
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256

_MAGIC = b"weir-sha256\x01"
_HEAD = struct.Struct(f"<{len(_MAGIC)}s6sQ")
"""Tag and version, byte order of the context, bytes hashed."""

_CONTEXT = struct.Struct("=8I2I64s2I")
"""SHA256_CTX: h, Nl and Nh (bits hashed), data (the block that is not full), num (its bytes), md_len."""

_BLOCK, _DIGEST = 64, 32
_ORDER = sys.byteorder.encode()


class NoHash(RuntimeError):
    """This Python has no OpenSSL whose SHA-256 can be resumed."""


class ForeignState(ValueError):
    """The bytes are no state of this hash."""


class Sha256:
    """SHA-256 of the bytes given to ``update`` so far; ``state`` and ``from_state`` carry it over.

    Raises
    ------
    NoHash
        OpenSSL is not there, or hashes otherwise.
    """

    def __init__(self) -> None:
        self._openssl = _openssl()
        self._context = ctypes.create_string_buffer(_CONTEXT.size)
        self._count = 0
        self._openssl.SHA256_Init(self._context)

    @property
    def count(self) -> int:
        """How many bytes have been hashed."""
        return self._count

    def update(self, data: bytes) -> None:
        """Hashes further bytes."""
        self._openssl.SHA256_Update(self._context, data, len(data))
        self._count += len(data)

    def hexdigest(self) -> str:
        """The digest so far, in lower-case hex; more may follow."""
        context = ctypes.create_string_buffer(self._context.raw, _CONTEXT.size)
        digest = ctypes.create_string_buffer(_DIGEST)
        self._openssl.SHA256_Final(digest, context)
        return digest.raw.hex()

    def state(self) -> bytes:
        """All there is to know about what was hashed, in 138 bytes."""
        return _HEAD.pack(_MAGIC, _ORDER, self._count) + self._context.raw

    @classmethod
    def from_state(cls, state: bytes) -> "Sha256":
        """Goes on where ``state`` was taken. Raises ForeignState for anything that ``state`` did not give."""
        if len(state) != _HEAD.size + _CONTEXT.size:
            raise ForeignState(f"a state has {_HEAD.size + _CONTEXT.size} bytes, not {len(state)}")
        magic, order, count = _HEAD.unpack_from(state)
        if magic != _MAGIC or order.rstrip(b"\0") != _ORDER:
            raise ForeignState("another algorithm, version or byte order")
        context = state[_HEAD.size :]
        *_, low, high, _, pending, length = _CONTEXT.unpack(context)
        # OpenSSL writes at data[num] without a check: a num of 64 or more would write outside of the context
        if (high << 32 | low) != count * 8 % (1 << 64) or pending != count % _BLOCK or length != _DIGEST:
            raise ForeignState("the counts do not agree")
        resumed = cls()
        resumed._context = ctypes.create_string_buffer(context, _CONTEXT.size)
        resumed._count = count
        return resumed


@lru_cache(maxsize=1)
def _openssl() -> ctypes.CDLL:
    """The OpenSSL that hashlib uses, or the system's; hashes a known text before anybody relies on it."""
    for place in _places():
        try:
            library = ctypes.CDLL(place)
            for name, arguments in (
                ("SHA256_Init", [ctypes.c_char_p]),
                ("SHA256_Update", [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]),
                ("SHA256_Final", [ctypes.c_char_p, ctypes.c_char_p]),
            ):
                function = getattr(library, name)
                function.argtypes, function.restype = arguments, ctypes.c_int
        except (OSError, AttributeError):
            continue
        if _hashes(library):
            return library
    raise NoHash("no OpenSSL with SHA256_Init, SHA256_Update and SHA256_Final was found: hashing can't be resumed")


def _places() -> Iterator[str]:
    """Where OpenSSL may be; the system's is looked for only when it is wanted, which starts a process."""
    with suppress(ImportError, AttributeError):  # built without OpenSSL, or into the interpreter
        import _hashlib

        yield _hashlib.__file__
    if found := ctypes.util.find_library("crypto"):
        yield found


def _hashes(library: ctypes.CDLL) -> bool:
    """Whether a library's SHA-256 and its context are what this module takes them for.

    The context is in a larger buffer, so that one that is larger than ours shows instead of writing over something.
    """
    text = b"abc" * 50
    context = ctypes.create_string_buffer(b"\xa5" * 4 * _CONTEXT.size, 4 * _CONTEXT.size)
    digest = ctypes.create_string_buffer(_DIGEST)
    done = library.SHA256_Init(context) and library.SHA256_Update(context, text, len(text))
    *_, low, high, _, pending, length = _CONTEXT.unpack_from(context.raw)
    laid_out = (low, high, pending, length) == (len(text) * 8, 0, len(text) % _BLOCK, _DIGEST)
    untouched = context.raw[_CONTEXT.size :] == b"\xa5" * 3 * _CONTEXT.size
    final = library.SHA256_Final(digest, context)
    return bool(done and final and laid_out and untouched and digest.raw == sha256(text).digest())

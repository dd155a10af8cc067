"""NumPy's .npy: a header that is a Python literal, then the array's bytes, or a pickle where it holds objects.

    \\x93NUMPY | version, 2 bytes | u16 or u32 length | {'descr': ..., 'fortran_order': ..., 'shape': ...} | data

The literal is parsed by ``ast.literal_eval``, which builds values alone, and is as long as NumPy accepts by itself.
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import ast
import re
from typing import Any

from weir.packages import scan_pickle
from weir.packages.findings import Finding, finding
from weir.packages.pickle_machine import Steps
from weir.packages.reading import Ended, Stream

MAGIC = b"\x93NUMPY"
MOST_HEADER = 10_000
"""Bytes, as ``numpy.load``'s max_header_size: the parser can be brought down by longer ones."""

_MOST_DEPTH = 16
_MOST_ITEMS = 1 << 63
_SIMPLE = re.compile(r"[<>|=]?([?bBiufcmMSaUV])([0-9]{0,9})(\[[0-9A-Za-z/]{1,20}\])?", re.ASCII)
_OBJECT = re.compile(r"[<>|=]?O[48]?", re.ASCII)


class _Wrong(Exception):
    pass


def scan(stream: Stream, size: int, steps: Steps) -> list[Finding]:
    """Findings of a .npy file of ``size`` bytes, its pickle's with them."""
    try:
        itemsize, count = _header(stream)
    except (_Wrong, Ended, ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as wrong:
        return [finding("npy-header", f"can't be read: {wrong}")]
    if itemsize is None:
        return scan_pickle.scan(stream, steps)
    if itemsize * count != size - stream.tell():
        return [finding("npy-size", f"{itemsize * count:,} bytes are announced, and {size - stream.tell():,} there")]
    return []


def _header(stream: Stream) -> tuple[int | None, int]:
    """Bytes of an item, None where items are objects, and their number."""
    head = stream.read(len(MAGIC) + 2)
    if not head.startswith(MAGIC) or head[-2] not in {1, 2, 3} or head[-1] != 0:
        raise _Wrong("no version 1.0, 2.0 or 3.0")
    length = int.from_bytes(stream.read(2 if head[-2] == 1 else 4), "little")
    if length > MOST_HEADER:
        raise _Wrong(f"{length:,} bytes of header, and {MOST_HEADER:,} are the most")
    said = ast.literal_eval(stream.read(length).decode("utf-8" if head[-2] == 3 else "latin-1"))
    if not isinstance(said, dict) or set(said) != {"descr", "fortran_order", "shape"}:
        raise _Wrong("its keys are not descr, fortran_order and shape")
    shape = said["shape"]
    if not isinstance(said["fortran_order"], bool) or not isinstance(shape, tuple):
        raise _Wrong("fortran_order or shape is of the wrong kind")
    return _itemsize(said["descr"], 0), _product(shape)


def _product(shape: tuple[Any, ...]) -> int:
    count = 1
    for one in shape:
        if type(one) is not int or one < 0:
            raise _Wrong(f"a shape of {shape!r:.100}")
        count *= one
        if count >= _MOST_ITEMS:
            raise _Wrong("more items than can be counted")
    return count


def _itemsize(descr: Any, depth: int) -> int | None:
    """Bytes of an item of this type; None where an object is anywhere in it."""
    if depth > _MOST_DEPTH:
        raise _Wrong("types in types without end")
    if isinstance(descr, str):
        if _OBJECT.fullmatch(descr):
            return None
        if not (simple := _SIMPLE.fullmatch(descr)):
            raise _Wrong(f"an unknown type, {descr!r:.100}")
        kind, digits = simple[1], simple[2]
        return int(digits or 1) * (4 if kind == "U" else 1)
    if isinstance(descr, tuple) and len(descr) == 2:
        each = _itemsize(descr[0], depth + 1)
        shape = descr[1] if isinstance(descr[1], tuple) else (descr[1],)
        return None if each is None else each * _product(shape)
    if not isinstance(descr, list) or not descr:
        raise _Wrong(f"an unknown type, {descr!r:.100}")
    sizes = [_field(one, depth + 1) for one in descr]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _field(field: Any, depth: int) -> int | None:
    """A field of a structure: its name, or title and name; its type; and the shape where it is an array."""
    if not isinstance(field, tuple) or len(field) not in {2, 3}:
        raise _Wrong(f"an unknown field, {field!r:.100}")
    return _itemsize(field[1] if len(field) == 2 else (field[1], field[2]), depth)

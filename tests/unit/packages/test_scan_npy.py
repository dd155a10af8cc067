"""NumPy's arrays: their header is a literal and no more, and objects are a pickle."""

import pytest

from tests.unit.packages import evil
from tests.unit.packages.evil import Bytes, npy
from weir.packages.scanners import scan


@pytest.mark.parametrize(
    ("descr", "shape", "size"),
    [
        ("<f4", (2, 3), 24),
        ("|b1", (), 1),
        ("<c16", (1,), 16),
        ("<U10", (3,), 120),
        ("|S5", (0, 9), 0),
        ("<M8[ns]", (2,), 16),
        ([("x", "<f4"), ("y", "<i2", (3,)), (("title", "z"), "|V2")], (2,), 24),
        ([("x", [("y", "<f8")])], (1,), 8),
        (("<f4", (2,)), (3,), 24),
    ],
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_arrays_are_clean(descr: object, shape: tuple[int, ...], size: int, version: int) -> None:
    result = scan(Bytes(npy(descr, shape, bytes(size), version=version)), "x.npy")

    assert (result.format, result.verdict, result.findings) == ("npy", "clean", ())


@pytest.mark.parametrize("descr", ["|O", "O", "<O8", [("a", "<f4"), ("b", "|O")], [("a", [("b", "O", (2,))])]])
def test_an_array_of_objects_is_a_pickle(descr: object) -> None:
    # Given an array of objects, wherever its type says so
    honest = scan(Bytes(npy(descr, (1,), evil.array_pickle())), "x.npy")
    other = scan(Bytes(npy(descr, (1,), evil.system())), "x.npy")

    assert honest.verdict == "clean"
    assert other.verdict == "dangerous"
    assert any("os system" in one.evidence for one in other.findings)


def raw(header: bytes, version: bytes = b"\x01\x00") -> bytes:
    size = len(header).to_bytes(2 if version[0] == 1 else 4, "little")
    return b"\x93NUMPY" + version + size + header


def typed(descr: bytes) -> bytes:
    return raw(b"{'descr': " + descr + b", 'fortran_order': False, 'shape': ()}")


def shaped(shape: bytes) -> bytes:
    return raw(b"{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + b"}")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(typed(b"__import__('os').system('id')"), id="a call"),
        pytest.param(shaped(b"(-1,)"), id="a negative shape"),
        pytest.param(shaped(b"(True,)"), id="a bool as shape"),
        pytest.param(shaped(b"(" + b"9" * 20 + b",)"), id="a huge shape"),
        pytest.param(shaped(b"(" + b"9" * 5000 + b",)"), id="5000 digits"),
        pytest.param(raw(b"{'descr': '<f4', 'fortran_order': 0, 'shape': ()}"), id="no order"),
        pytest.param(typed(b"'object'"), id="another word for O"),
        pytest.param(typed(b"'i4,O'"), id="types in one text"),
        pytest.param(typed(b"[]"), id="no type"),
        pytest.param(typed(b"[('a',)]"), id="half a field"),
        pytest.param(raw(b"{'descr': '<f4', 'shape': ()}"), id="a key too few"),
        pytest.param(shaped(b"(), 'x': 1}"), id="a key too many"),
        pytest.param(raw(b"[]"), id="a list"),
        pytest.param(raw(b"("), id="no literal"),
        pytest.param(raw(b"(" * 9_000), id="nested without end"),
        pytest.param(raw(b"-" * 9_000 + b"1"), id="minus without end"),
        pytest.param(typed(b"(" * 40 + b"'<f4'" + b",1)" * 40), id="types in types"),
        pytest.param(raw(b" " * 20_000), id="longer than NumPy reads"),
        pytest.param(raw(b"{}", b"\x04\x00"), id="version 4"),
        pytest.param(raw(b"\0"), id="NUL"),
        pytest.param(b"\x93NUMPY\x01\x00\xff", id="cut off"),
    ],
)  # fmt: skip
def test_a_header_that_can_not_be_read_is_dangerous(content: bytes) -> None:
    result = scan(Bytes(content), "x.npy")

    assert [one.rule for one in result.findings] == ["npy-header"]


@pytest.mark.parametrize("data", [bytes(15), bytes(17), bytes(16) + evil.system()])
def test_data_must_be_as_long_as_the_header_says(data: bytes) -> None:
    assert [one.rule for one in scan(Bytes(npy("<f4", (4,), data)), "x.npy").findings] == ["npy-size"]


def test_a_pickle_that_is_called_npy_is_dangerous() -> None:
    # numpy.load unpickles what does not begin as an array does, where it is allowed to
    assert scan(Bytes(evil.array_pickle()), "x.npy").verdict == "dangerous"

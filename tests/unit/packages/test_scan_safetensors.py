"""safetensors: each rule of the format is kept, whatever its size, and nothing is read that need not be."""

import json
import struct
from typing import Any

import pytest

from tests.unit.packages import evil
from tests.unit.packages.evil import Bytes, safetensors, weights
from weir.packages.scan_safetensors import MOST_HEADER
from weir.packages.scanners import scan


def rules(content: bytes | Bytes) -> set[str]:
    file = content if isinstance(content, Bytes) else Bytes(content)
    result = scan(file, "model.safetensors")
    assert (result.verdict == "dangerous") == bool(result.findings)
    return {one.rule for one in result.findings if one.rule not in {"name-and-content-differ", "no-scanner"}}


def entry(**changes: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]} | changes}


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ({}, 0),
        ({"__metadata__": {"format": "pt"}}, 0),
        (weights((0, 4)), 4),
        (weights((0, 4), (4, 9), (9, 100)), 100),
        (weights((4, 9), (9, 100), (0, 4)), 100),
        (weights((0, 4), (4, 4), (4, 5)) | {"__metadata__": {"a": "ü"}}, 5),
        (entry(), 16),
        (entry(dtype="F64", shape=[], data_offsets=[0, 8]), 8),
        (entry(dtype="F32", shape=[7, 0], data_offsets=[0, 0]), 0),
        (entry(dtype="F4", shape=[2], data_offsets=[0, 1]), 1),
        (entry(dtype="F6_E2M3", shape=[4], data_offsets=[0, 3]), 3),
        (entry(dtype="C64", shape=[2], data_offsets=[0, 16]), 16),
        (entry(later_versions="may add something"), 16),
    ],
)
def test_what_the_format_allows_is_clean(header: Any, size: int) -> None:
    padded = json.dumps(header).encode() + b"   "

    result = scan(Bytes(safetensors(padded, bytes(size))), "model.safetensors")

    assert (result.format, result.verdict, result.findings) == ("safetensors", "clean", ())


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        pytest.param(safetensors(weights((0, 8), (4, 12)), bytes(12)), "safetensors-overlap", id="overlap"),
        pytest.param(safetensors(weights((0, 8), (0, 8)), bytes(8)), "safetensors-overlap", id="the same bytes"),
        pytest.param(safetensors(weights((0, 4), (8, 12)), bytes(12)), "safetensors-hole", id="a hole"),
        pytest.param(safetensors(weights((4, 8)), bytes(8)), "safetensors-hole", id="a hole before all"),
        pytest.param(safetensors(weights((0, 8)), bytes(9)), "safetensors-size", id="bytes of no tensor at the end"),
        pytest.param(safetensors(weights((0, 8)), bytes(7)), "safetensors-size", id="beyond the end"),
        pytest.param(safetensors({}, bytes(1)), "safetensors-size", id="bytes of no tensor at all"),
        pytest.param(safetensors(entry(data_offsets=[0, 15]), bytes(15)), "safetensors-size", id="too short"),
        pytest.param(safetensors(entry(data_offsets=[16, 0]), bytes(16)), "safetensors-offsets", id="back to front"),
        pytest.param(safetensors(entry(data_offsets=[0]), bytes(16)), "safetensors-offsets", id="one offset"),
        pytest.param(safetensors(entry(data_offsets=["0", 16]), bytes(16)), "safetensors-offsets", id="text"),
        pytest.param(safetensors(entry(data_offsets=[False, 16]), bytes(16)), "safetensors-offsets", id="a bool"),
        pytest.param(safetensors(entry(data_offsets=None), bytes(16)), "safetensors-offsets", id="none"),
        pytest.param(safetensors(entry(data_offsets=[-16, 0]), bytes(16)), "safetensors-number", id="negative"),
        pytest.param(safetensors(entry(shape=[-2, -2]), bytes(16)), "safetensors-number", id="negative shape"),
        pytest.param(safetensors(entry(shape=[1 << 64]), bytes(16)), "safetensors-number", id="over 64 bits"),
        pytest.param(safetensors(b'{"a":{"dtype":"U8","shape":[' + b"9" * 9999 + b'],"data_offsets":[0,1]}}', b"x"),
                     "safetensors-number", id="9999 digits"),
        pytest.param(safetensors(entry(shape=[1 << 62, 4, 0], data_offsets=[0, 0])),
                     "safetensors-shape", id="overflow"),
        pytest.param(safetensors(entry(shape=[4.0]), bytes(16)), "safetensors-number", id="a fraction"),
        pytest.param(safetensors(b'{"a":{"dtype":"U8","shape":[1e3],"data_offsets":[0,1]}}'),
                     "safetensors-number", id="an exponent"),
        pytest.param(safetensors(b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,1]}}'),
                     "safetensors-number", id="not a number"),
        pytest.param(safetensors(entry(shape=[True, 4]), bytes(16)), "safetensors-shape", id="a bool in the shape"),
        pytest.param(safetensors(entry(shape="44"), bytes(16)), "safetensors-shape", id="a text as shape"),
        pytest.param(safetensors(entry(dtype="F33"), bytes(16)), "safetensors-dtype", id="an unknown type"),
        pytest.param(safetensors(entry(dtype=[]), bytes(16)), "safetensors-dtype", id="a list as type"),
        pytest.param(safetensors(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
                                 b'"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
                     "safetensors-duplicate-key", id="a tensor twice"),
        pytest.param(safetensors(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
                                 b'"\\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
                     "safetensors-duplicate-key", id="twice, once escaped"),
        pytest.param(safetensors(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"data_offsets":[0,1]}}', b"x"),
                     "safetensors-duplicate-key", id="offsets twice"),
        pytest.param(safetensors(b'{"__metadata__":{},"__metadata__":{}}'), "safetensors-duplicate-key", id="metadata"),
        pytest.param(safetensors({"__metadata__": {"a": 1}}), "safetensors-metadata", id="metadata of numbers"),
        pytest.param(safetensors({"__metadata__": []}), "safetensors-header", id="metadata that are a list"),
        pytest.param(safetensors([]), "safetensors-header", id="a list"),
        pytest.param(safetensors({"a": []}), "safetensors-header", id="an entry that is a list"),
        pytest.param(safetensors(b" {}"), "safetensors-header", id="a space before"),
        pytest.param(safetensors(b"{} x"), "safetensors-header", id="something after"),
        pytest.param(safetensors(b"{}{}"), "safetensors-header", id="two"),
        pytest.param(safetensors(b'{"a":{'), "safetensors-header", id="cut off"),
        pytest.param(safetensors(b'{"a":{},}'), "safetensors-dtype", id="empty"),
        pytest.param(safetensors(b'{"__metadata__":{},}'), "safetensors-header", id="a comma too many"),
        pytest.param(safetensors(b'{"\xff":{}}'), "safetensors-header", id="no UTF-8"),
        pytest.param(safetensors(b'{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
                     "safetensors-header", id="half a character"),
        pytest.param(safetensors(b'{"a":' + b'{"a":' * 100_000), "safetensors-header", id="nested without end"),
        pytest.param(safetensors(b'{"a":{"x":' + b"[" * 100_000), "safetensors-header", id="lists without end"),
        pytest.param(safetensors(b"{}", length=1), "safetensors-header-length", id="a length of 1"),
        pytest.param(safetensors(b"{}", length=0), "safetensors-header-length", id="a length of 0"),
        pytest.param(safetensors(b"{}", length=3), "safetensors-header-length", id="a length beyond the end"),
        pytest.param(safetensors(b"{}", length=(1 << 64) - 1), "safetensors-header-length", id="the largest length"),
        pytest.param(b"\x02\0\0\0", "safetensors-header", id="four bytes"),
    ],
)  # fmt: skip
def test_what_the_format_forbids_is_dangerous(content: bytes, rule: str) -> None:
    assert rules(content) == {rule}


def test_a_header_of_more_than_100_mb_is_refused_by_its_length() -> None:
    # Given a file whose header has one byte more than the most, and is really there
    head = struct.pack("<Q", MOST_HEADER + 1) + b'{"a":'
    file = Bytes(head, 2 * MOST_HEADER)

    # Then it is refused, and was not read
    assert rules(file) == {"safetensors-header-length"}
    assert file.bytes_read < 200_000


def test_a_large_header_is_read_in_pieces() -> None:
    # Given a header of 40,000 tensors, and 5 MB
    held = weights(*((number, number + 1) for number in range(40_000)))
    content = json.dumps({f"a.long.name.of.a.layer.of.a.model.{name}.weight": one for name, one in held.items()})
    file = Bytes(safetensors(content.encode(), bytes(40_000)))

    # Then it is clean, and each byte of it was read once, at most 4 MiB together
    assert rules(file) == set()
    assert file.bytes_read < file.size + 5 * 1024 * 1024
    assert file.largest <= 4 * 1024 * 1024


def test_one_entry_does_not_fill_the_memory() -> None:
    # Given a header whose first name has 90 MB
    file = Bytes(safetensors(b'{"' + b"a" * 90_000_000, b""))

    assert rules(file) == {"safetensors-header"}
    assert file.bytes_read < 20 * 1024 * 1024


def test_a_pickle_that_is_called_safetensors_is_both_found() -> None:
    result = scan(Bytes(evil.system()), "model.safetensors")

    assert {"name-and-content-differ", "call-not-allowed"} <= {one.rule for one in result.findings}

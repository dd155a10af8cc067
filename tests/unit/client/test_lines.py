"""The demo's rows and the person's own lines."""

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.lines import DEMO_FOLDER, LinesUnusable, demo_lines, file_lines
from weir.runs.models import Keys
from weir.runs.source import SourceUnreadable, line_key, split_lines


def content(lines: Any) -> bytes:
    return b"".join(lines.read())


def test_the_demo_holds_every_row_as_it_was_published() -> None:
    # Given the published files, read by another reader
    published = set()
    for file in DEMO_FOLDER.glob("*.csv"):
        with file.open(newline="") as opened:
            published |= {(file.stem, row["timestamp"], row["value"]) for row in csv.DictReader(opened)}

    # When they are packed
    lines = demo_lines()
    text = content(lines)

    # Then each row is there once, its value digit for digit
    rows = [json.loads(line, parse_float=str, parse_int=str) for line in text.splitlines()]
    assert {(row["series"], row["timestamp"], row["value"]) for row in rows} == published
    assert len(rows) == lines.records == 67_740
    assert len(text) == lines.size

    # And each has its key
    assert all(row["key"] == f"{row['series']}/{row['timestamp'][:10]}" for row in rows)
    assert lines.key_field == "key"


def test_the_demo_keeps_the_rows_of_a_key_in_order_and_many_keys_under_way() -> None:
    # Given the demo's rows
    rows = [json.loads(line) for line in content(demo_lines()).splitlines()]

    # Then within a key time never goes back
    last: dict[str, str] = {}
    for row in rows:
        assert row["timestamp"] >= last.get(row["key"], "")
        last[row["key"]] = row["timestamp"]

    # And a writer that has one record of a key under way finds enough keys for its requests
    window = 1000
    fewest = min(len({row["key"] for row in rows[at : at + window]}) for at in range(0, len(rows) - window, window))
    assert fewest >= 200


@pytest.mark.parametrize("row", ["2014-02-14 14:30:00,NaN", "2014-02-14 14:30:00,", "x,1", "2014-02-14 14:30:00,01"])
def test_a_row_that_is_no_measurement_is_named(tmp_path: Path, row: str) -> None:
    (tmp_path / "a.csv").write_text(f"timestamp,value\n2014-02-14 14:25:00,1\n{row}\n")
    with pytest.raises(LinesUnusable, match=r"a\.csv:3"):
        demo_lines(tmp_path)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_value_is_never_rounded(tmp_path_factory: pytest.TempPathFactory, value: Decimal) -> None:
    folder = tmp_path_factory.mktemp("series")
    (folder / "a.csv").write_text(f"timestamp,value\n2014-02-14 14:30:00,{value}\n")
    row = json.loads(content(demo_lines(folder)), parse_float=Decimal, parse_int=Decimal)
    assert row["value"].as_tuple() == Decimal(str(value)).as_tuple()


@pytest.mark.parametrize("text", ["", "time,value\n"])
def test_a_folder_without_series_is_refused(tmp_path: Path, text: str) -> None:
    if text:
        (tmp_path / "a.csv").write_text(text)
    with pytest.raises(LinesUnusable):
        demo_lines(tmp_path)


def test_a_file_is_sent_byte_for_byte(tmp_path: Path) -> None:
    # Given lines with blank ones between, other line ends, no newline at the end, and bytes that are no text
    body = b'{"a":1}\n\n\xff\xfe\r\nlast'
    (tmp_path / "mine").write_bytes(body)

    # When it is read
    lines = file_lines(tmp_path / "mine", None)

    # Then the bytes are the file's, twice, and blank lines are no records
    assert content(lines) == content(lines) == body
    assert (lines.records, lines.size, lines.key_field) == (3, len(body), None)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "holds no line"),
        (b"\n\r\n", "holds no line"),
        (b"ok\n" + b"x" * 1_000_001, "mine:2: longer than"),
    ],
)
def test_a_file_that_can_not_be_inserted_is_refused(tmp_path: Path, body: bytes, told: str) -> None:
    (tmp_path / "mine").write_bytes(body)
    with pytest.raises(LinesUnusable, match=told):
        file_lines(tmp_path / "mine", None)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LinesUnusable, match="can't be read: No such file"):
        file_lines(tmp_path / "none", None)


json_lines = st.lists(
    st.one_of(
        st.binary(max_size=12).filter(lambda line: b"\n" not in line),
        st.dictionaries(st.sampled_from(["k", "v"]), st.one_of(st.text(max_size=300), st.integers(), st.none())).map(
            lambda value: json.dumps(value).encode()
        ),
    ),
    min_size=1,
    max_size=5,
)


@given(json_lines)
def test_what_is_accepted_here_is_what_the_api_accepts(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    # Given a file, and how the service reads it
    file = tmp_path_factory.mktemp("lines") / "mine"
    file.write_bytes(b"\n".join(lines))
    payloads = [one.rstrip(b"\r\n") for one in split_lines([file.read_bytes()])]
    payloads = [one for one in payloads if one]
    try:
        for payload in payloads:
            line_key("k", Keys())(0, payload)
        usable = bool(payloads)
    except SourceUnreadable:
        usable = False

    # Then it is checked alike here
    try:
        assert file_lines(file, "k").records == len(payloads)
        assert usable
    except LinesUnusable:
        assert not usable

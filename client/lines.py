"""Lines to insert: the demo's rows of real metrics, or a file of the person's own, checked before anything is created.

The demo's rows are CloudWatch series of the Numenta Anomaly Benchmark (``data/cloudwatch/README.md``). A row becomes

    {"key": "<series>/<day>", "series": "<series>", "timestamp": "2014-02-14 14:30:00", "value": 0.132}

with the value as it stands in the file, digit for digit. The key is the partition key: within a day of a series, order
is kept. The rows are sorted by time of day, as if all days were being recorded at once, because a writer that keeps
order can have only one record of a key under way: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from client.target import REPOSITORY

__all__ = ["DEMO_FOLDER", "Lines", "LinesUnusable", "demo_lines", "file_lines"]

DEMO_FOLDER = REPOSITORY / "data" / "cloudwatch"
DEMO_KEY_FIELD = "key"
_ROW = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d),(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)")
_CHUNK_BYTES = 1 << 18
_MAX_LINE_BYTES = 1_000_000
_MAX_KEY_CHARACTERS = 256


class LinesUnusable(Exception):
    """The lines can't be inserted; the message names the file, the line and the reason."""


@dataclass(frozen=True, slots=True)
class Lines:
    """``records`` lines of ``size`` bytes in all; ``read`` begins at the first each time it is called."""

    name: str
    records: int
    size: int
    read: Callable[[], Iterable[bytes]]
    key_field: str | None


def demo_lines(folder: Path = DEMO_FOLDER) -> Lines:
    """The demo's rows. LinesUnusable where a file is not as it was published."""
    rows = [row for file in sorted(folder.glob("*.csv")) for row in _rows(file)]
    if not rows:
        raise LinesUnusable(f"{folder} holds no series.")
    rows.sort()
    text = "".join(
        f'{{"key":"{series}/{day}","series":"{series}","timestamp":"{day} {time}","value":{value}}}\n'
        for time, day, series, value in rows
    ).encode()
    return Lines(
        name=f"{len({row[2] for row in rows})} series of real CloudWatch metrics",
        records=len(rows),
        size=len(text),
        read=lambda: (text[at : at + _CHUNK_BYTES] for at in range(0, len(text), _CHUNK_BYTES)),
        key_field=DEMO_KEY_FIELD,
    )


def _rows(file: Path) -> Iterator[tuple[str, str, str, str]]:
    """(time of day, day, series, value) of every row."""
    header, *rows = file.read_text().splitlines()
    if header != "timestamp,value":
        raise LinesUnusable(f"{file}:1: the columns are {header!r}, not 'timestamp,value'.")
    for number, row in enumerate(rows, 2):
        match = _ROW.fullmatch(row)
        if match is None:
            raise LinesUnusable(f"{file}:{number}: {row!r} is not a time and a number.")
        yield match[2], match[1], file.stem, match[3]


def file_lines(file: Path, key_field: str | None) -> Lines:
    """A file of lines, read once to check it.

    Raises
    ------
    LinesUnusable
        It can't be read, holds nothing, a line is longer than 1 MB, or a line is not JSON with ``key_field`` in it.
    """
    records = 0
    try:
        with file.open("rb") as opened:
            for number, line in enumerate(opened, 1):
                payload = line.rstrip(b"\r\n")
                records += bool(payload)
                told = _wrong(payload, key_field) if payload else None
                if told:
                    raise LinesUnusable(f"{file}:{number}: {told}")
        size = file.stat().st_size
    except OSError as error:
        raise LinesUnusable(f"{file} can't be read: {error.strerror or error}.") from error
    if not records:
        raise LinesUnusable(f"{file} holds no line.")
    return Lines(file.name, records, size, lambda: _chunks(file), key_field)


def _wrong(payload: bytes, key_field: str | None) -> str | None:
    """What is wrong with a line, if anything; the rules are those of the API."""
    if len(payload) > _MAX_LINE_BYTES:
        return f"longer than {_MAX_LINE_BYTES:,} bytes, which no Kinesis record can hold."
    if key_field is None:
        return None
    try:
        value = json.loads(payload)[key_field]
    except (ValueError, KeyError, TypeError):
        return f"no JSON with a field {key_field!r} to take the partition key from."
    key = value if isinstance(value, str) else json.dumps(value)
    if not 1 <= len(key) <= _MAX_KEY_CHARACTERS:
        return f"a partition key has 1 to {_MAX_KEY_CHARACTERS} characters, and {key_field!r} has {len(key)}."
    return None


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            yield chunk

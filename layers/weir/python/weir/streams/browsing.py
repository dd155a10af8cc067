"""A page of a shard's records for a caller over HTTP: readable data, and a place to go on from.

A page looks for its first record for some seconds, because Kinesis answers empty for stretches of a shard that hold
nothing; what it has then is the page, and the caller goes on from the place. Where no record was met, the place keeps
the iterator, so that a long empty stretch is not walked twice.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from weir.runtime.clock import Clock, parse_rfc3339, rfc3339
from weir.runtime.errors import TooManyRequests
from weir.streams.errors import IteratorExpired
from weir.streams.kinesis import Kinesis, RawRecord, RecordsAnswer
from weir.streams.models import Encoding, RecordOut
from weir.streams.reader import SECONDS_BETWEEN_CALLS, Position, after

PAGE_SECONDS = 5.0
PAGE_BYTES = 4 * 1024 * 1024
"""Characters of data in one page: a Lambda answers at most 6 MB, JSON's escapes included."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next page begins: an iterator while it lives (five minutes), the position otherwise."""

    position: Position
    iterator: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """For a cursor."""
        moment = self.position.timestamp
        return {
            "kind": self.position.kind,
            "sequence": self.position.sequence,
            "timestamp": None if moment is None else rfc3339(moment),
            "iterator": self.iterator,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Place":
        """What ``to_dict`` gave."""
        moment = stored["timestamp"]
        timestamp = None if moment is None else parse_rfc3339(moment)
        return cls(Position(stored["kind"], stored["sequence"], timestamp), stored["iterator"])


@dataclass(frozen=True, slots=True)
class Page:
    """Records, and the place behind them; no place where a closed shard was read to its end."""

    records: tuple[RecordOut, ...]
    next: Place | None
    millis_behind: int | None
    child_shard_ids: tuple[str, ...]


def read_page(
    kinesis: Kinesis,
    stream: str,
    shard_id: str,
    place: Place,
    *,
    limit: int,
    encoding: Encoding,
    clock: Clock,
    seconds: float = PAGE_SECONDS,
) -> Page:
    """At most ``limit`` records from ``place`` on, within about ``seconds``.

    ``encoding`` text gives data as text where it is valid UTF-8 and as base64 where it is not; base64 gives all so.

    Raises
    ------
    StreamNotFound, ShardNotFound, Invalid
    TooManyRequests
        Other readers take the shard's five calls a second for longer than ``seconds``.
    """
    place = _fixed_in_time(place, clock)
    answer = _first_records(kinesis, stream, shard_id, place, limit, clock, clock.monotonic() + seconds)
    shown = _fitting(answer.records, shard_id, encoding)
    cut = len(shown) < len(answer.records)
    if shown and (cut or answer.next_iterator is not None):
        following: Place | None = Place(after(shown[-1].sequence_number))
    elif answer.next_iterator is not None:
        following = Place(place.position, answer.next_iterator)
    else:
        following = None
    return Page(shown, following, answer.millis_behind, answer.child_shard_ids)


def _fixed_in_time(place: Place, clock: Clock) -> Place:
    """LATEST as the time it was asked at: an iterator that expires unread must not lose what came since."""
    if place.position.kind != "LATEST":
        return place
    return Place(Position("AT_TIMESTAMP", timestamp=clock.now()), place.iterator)


def _first_records(
    kinesis: Kinesis, stream: str, shard_id: str, place: Place, limit: int, clock: Clock, deadline: float
) -> RecordsAnswer:
    """The first answer that holds records, or that says there are none yet, or the last one before the deadline."""
    iterator = place.iterator
    wait = SECONDS_BETWEEN_CALLS
    while True:
        try:
            if iterator is None:
                iterator = place.position.iterator(kinesis, stream, shard_id)
            answer = kinesis.get_records(iterator, limit, about=stream)
        except (IteratorExpired, TooManyRequests) as error:
            if clock.monotonic() + wait > deadline:
                raise
            if isinstance(error, IteratorExpired):
                iterator = None
            clock.sleep(wait)
            wait *= 2
            continue
        at_tip = answer.millis_behind == 0
        if answer.records or at_tip or answer.next_iterator is None or clock.monotonic() + wait > deadline:
            return answer
        iterator = answer.next_iterator
        clock.sleep(SECONDS_BETWEEN_CALLS)


def _fitting(records: list[RawRecord], shard_id: str, encoding: Encoding) -> tuple[RecordOut, ...]:
    """As many records as a page holds; a record that is too large for any page stands without its data."""
    shown: list[RecordOut] = []
    used = 0
    for record in records:
        data, used_encoding = _readable(record.data, encoding)
        size = len(data.encode()) if data is not None else 0
        if shown and used + size > PAGE_BYTES:
            break
        if size > PAGE_BYTES:
            data, used_encoding, size = None, None, 0
        used += size
        shown.append(
            RecordOut(
                sequence_number=record.sequence_number,
                partition_key=record.partition_key,
                data=data,
                encoding=used_encoding,
                size_bytes=len(record.data),
                arrived_at=datetime.fromtimestamp(record.arrived_at, UTC),
                shard_id=shard_id,
            )
        )
    return tuple(shown)


def _readable(data: bytes, encoding: Encoding) -> tuple[str | None, Encoding | None]:
    if encoding == "text":
        try:
            return data.decode(), "text"
        except UnicodeDecodeError:
            pass
    return base64.b64encode(data).decode(), "base64"

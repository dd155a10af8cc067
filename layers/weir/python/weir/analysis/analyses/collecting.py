"""What is known of many streams, in few calls: described one by one below the quotas, their metrics read together.

A call that fails costs what it would have told and nothing else: the stream says what could not be read, and the
analysis is partial. How many calls were made is counted by operation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any

from weir.analysis.analyses.contract import MOST_STREAMS, AnalysisSpec, TagFilter
from weir.analysis.analyses.quotas import DESCRIBES, LISTS, METRIC_CALLS, Paced, points_a_second
from weir.analysis.analyses.ranges import history_of, resolve
from weir.analysis.measurement import Measurement
from weir.analysis.workflows.series import MetricSeries
from weir.analysis.workflows.stream_facts import METRICS, SHARD_METRICS, StreamFacts
from weir.runtime.clock import Clock
from weir.runtime.errors import WeirError
from weir.streams.cloudwatch import Metrics
from weir.streams.errors import StreamNotFound
from weir.streams.kinesis import Kinesis
from weir.streams.lifecycle import stream_of
from weir.streams.metrics import LAG, MetricQuery, Range, queries_for, stream_queries
from weir.streams.models import Stream

__all__ = ["Collected", "Collecting"]

HISTORY_METRICS = ("IncomingBytes", "IncomingRecords", "GetRecords.Records")
"""What the workflows read over months."""

NEED_HISTORY = frozenset({"patterns", "unused", "classification", "five-why"})
UNKNOWN_MODE = "unknown"
MOST_SHARDS = 200
"""Shards whose own metrics are read, of all streams together; they are there where enhanced monitoring is on."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What was read. `partial` tells in words what could not be, of streams or of the whole."""

    streams: tuple[StreamFacts, ...]
    span: Range
    partial: tuple[str, ...]
    calls: Mapping[str, int]


@dataclass(slots=True)
class _Found:
    """A stream on the way: what is known so far."""

    name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    described: Stream | None = None
    measurement: Measurement | None = None
    not_read: list[str] = field(default_factory=list)
    unread: dict[str, list[str]] = field(default_factory=dict)
    series: dict[str, MetricSeries] = field(default_factory=dict)
    history: dict[str, MetricSeries] = field(default_factory=dict)
    shards: dict[str, dict[str, MetricSeries]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A query, and the place that its series goes to."""

    query: MetricQuery
    of: _Found
    into: dict[str, MetricSeries]


class Collecting:
    """One collection.

    `until` is a moment of `clock.monotonic`, after which no more streams are looked at. `measured` is what runs
    measured: their streams are looked at beside those of the spec, and told of even where they are gone.
    """

    def __init__(
        self, kinesis: Kinesis, metrics: Metrics, clock: Clock, until: float, measured: Iterable[Measurement] = ()
    ) -> None:
        self._kinesis, self._metrics, self._clock, self._until = kinesis, metrics, clock, until
        self._measured = {one.stream_name: one for one in measured}
        self._describes, self._lists = Paced(clock, DESCRIBES), Paced(clock, LISTS)
        self._metric_calls = Paced(clock, METRIC_CALLS)
        self._calls: Counter[str] = Counter()
        self._partial: list[str] = []

    def collect(self, spec: AnalysisSpec, workflows: Iterable[str]) -> Collected:
        """Look at the streams of a spec.

        Raises
        ------
        Invalid
            There are too many streams for the range.
        WeirError
            Not even the streams could be listed.
        """
        now = self._clock.now()
        found = [one for one in self._with_those_of_runs(self._chosen(spec)) if self._described(one)]
        span = resolve(spec, series=max(1, len(found)) * len(METRICS), now=now)
        self._read(self._stream_metrics(found), span, now)
        if NEED_HISTORY & set(workflows) and (history := history_of(span)) is not None:
            self._read(_history_metrics(found), history, now)
        self._read(self._shard_metrics(found), span, now)
        streams = tuple(_facts(one, now, self._kinesis.region) for one in found)
        if span.end > now - LAG:
            self._partial.append("the latest minutes of the range: CloudWatch may still publish them")
        told = [f"{one.name}: {what}" for one in streams for what in one.not_read]
        return Collected(streams, span, (*self._partial, *told), dict(self._calls))

    def _chosen(self, spec: AnalysisSpec) -> list[_Found]:
        if isinstance(spec.streams, TagFilter):
            return self._by_tags(spec.streams)
        return [_Found(name) for name in dict.fromkeys(spec.streams or ())]

    def _with_those_of_runs(self, chosen: Iterable[_Found]) -> Iterable[_Found]:
        found = {one.name: one for one in chosen}
        for name, measurement in self._measured.items():
            found.setdefault(name, _Found(name)).measurement = measurement
        return found.values()

    def _by_tags(self, wanted: TagFilter) -> list[_Found]:
        """Streams that carry the tags, by name, at most 500; each stream of the account is asked for its own."""
        found: list[_Found] = []
        names = self._names()
        for index, name in enumerate(names):
            if self._clock.monotonic() >= self._until or len(found) == MOST_STREAMS:
                why = "there are enough" if len(found) == MOST_STREAMS else "there was no time"
                self._partial.append(f"{len(names) - index:,} of {len(names):,} streams were not looked at: {why}")
                break
            self._lists.wait()
            self._calls["ListTagsForStream"] += 1
            try:
                tags = self._kinesis.tags(name)
            except StreamNotFound:
                continue  # deleted since it was listed
            except WeirError as error:
                self._partial.append(f"{name}: whether it has these tags: {error.detail}")
                continue
            if all(tags.get(key) == value for key, value in wanted.tags.items()):
                found.append(_Found(name, tags))
        if not found:
            self._partial.append("no stream was found that has these tags")
        return found

    def _names(self) -> list[str]:
        names: list[str] = []
        more = True
        while more:
            self._lists.wait()
            self._calls["ListStreams"] += 1
            page, more = self._kinesis.stream_page(after=names[-1] if names else None, limit=100)
            names += [one["StreamName"] for one in page]
            more = more and bool(page)
        return names

    def _described(self, one: _Found) -> bool:
        """Whether the stream is there, as far as anybody knows."""
        if self._clock.monotonic() >= self._until:
            one.not_read.append("its description: there was no time")
            return True
        self._describes.wait()
        self._calls["DescribeStreamSummary"] += 1
        try:
            one.described = stream_of(self._kinesis.summary(one.name), one.tags)
        except StreamNotFound:
            if one.measurement is None:
                self._partial.append(f"{one.name}: there is no such stream")
                return False
            one.not_read.append("its description: the stream is gone, and what its run measured is left")
        except WeirError as error:
            one.not_read.append(f"its description: {error.detail}")
        else:
            _leave_to_a_namesake(one, one.described)
        return True

    def _stream_metrics(self, found: Sequence[_Found]) -> list[_Wanted]:
        return [_Wanted(query, one, one.series) for one in found for query in stream_queries(one.name, METRICS)]

    def _shard_metrics(self, found: Sequence[_Found]) -> list[_Wanted]:
        """Queries of the shards of streams with enhanced monitoring, as long as they are not too many."""
        left = MOST_SHARDS
        wanted: list[_Wanted] = []
        for one in found:
            on = set(one.described.shard_level_metrics) if one.described is not None else set()
            names = [name for name in SHARD_METRICS if name in on]
            if not names or one.described is None:
                continue
            if (one.described.open_shard_count or 0) > left:
                one.not_read.append(f"metrics of its {one.described.open_shard_count} shards: too many at once")
                continue
            ids = self._open_shards(one)
            left -= len(ids)
            for shard in ids:
                into = one.shards.setdefault(shard, {})
                wanted += [_Wanted(query, one, into) for query in queries_for(one.name, names, shard=shard)]
        return wanted

    def _open_shards(self, one: _Found) -> list[str]:
        self._calls["ListShards"] += 1
        try:
            return [shard.shard_id for shard in self._kinesis.shards(one.name) if shard.open]
        except WeirError as error:
            one.not_read.append(f"its shards: {error.detail}")
            return []

    def _read(self, wanted: Sequence[_Wanted], span: Range, now: datetime) -> None:
        """Read metrics of many streams together, and put each series in its place."""
        points = Paced(self._clock, points_a_second(span.start, now))

        def pace(most: int) -> None:
            self._metric_calls.wait()
            points.wait(most)

        self._calls["queries"] += len(wanted)
        queries = [one.query for one in wanted]
        left = iter(wanted)
        for batch in self._metrics.batches(queries, span.start, span.end, span.period, pace):
            self._calls["GetMetricData"] += batch.calls
            for one, series in zip(islice(left, len(batch.series)), batch.series, strict=True):
                made = MetricSeries.from_points(series, span)
                # What may still be published is not complete, whatever CloudWatch says of what it has.
                one.into[series.name] = replace(made, complete=made.complete and span.end <= now - LAG)
                if not series.complete:
                    why = "CloudWatch did not give all of it" if batch.error is None else batch.error.detail
                    one.of.unread.setdefault(why, []).append(series.name)


def _leave_to_a_namesake(one: _Found, described: Stream) -> None:
    """What a run measured that ended before the stream was made is of an earlier one of its name."""
    run, created_at = one.measurement, described.created_at
    if run is not None and run.ended_at is not None and created_at is not None and run.ended_at < created_at:
        one.measurement = None
        one.not_read.append(f"run {run.run_id}: it was on an earlier stream of this name")


def _history_metrics(found: Sequence[_Found]) -> list[_Wanted]:
    return [_Wanted(query, one, one.history) for one in found for query in stream_queries(one.name, HISTORY_METRICS)]


def _facts(one: _Found, now: datetime, region: str) -> StreamFacts:
    known = one.described
    told: dict[str, Any] = {"name": one.name, "mode": UNKNOWN_MODE}
    if known is not None:
        told |= {
            "mode": known.mode,
            "open_shards": known.open_shard_count,
            "retention_hours": known.retention_hours,
            "encryption": known.encryption.type,
            "created_at": known.created_at,
            "consumers": known.consumer_count,
        }
    return StreamFacts(
        **told,
        now=now,
        region=region,
        tags=dict(one.tags),
        series=one.series,
        history=one.history,
        shards=one.shards,
        measurement=one.measurement,
        not_read=(*one.not_read, *(f"{', '.join(dict.fromkeys(names))}: {why}" for why, names in one.unread.items())),
    )

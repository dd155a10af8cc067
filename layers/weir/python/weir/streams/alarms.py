"""Two alarms of a managed stream, with thresholds from its service levels: data latency and iterator age.

The levels stand on the stream's tags from its first moment, so that whoever comes by can make the alarms, again and
again, and nothing else has to remember them: who settles a new stream does, and so does the sweep, which also deletes
alarms whose stream is gone. An alarm's name begins with the stack's and holds the stream's.

*Data latency* is the time of a write, the age of what is read, and the time of a read, added up: what Kinesis itself
measures of the way from a producer to a consumer. *Iterator age* alone tells of readers that fall behind, long before
records expire unread. https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-cloudwatch.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from weir.streams import tags as stream_tags

PERIOD = 60
PERIODS = 5
"""Minutes in a row above the threshold: single minutes of age are false alarms more often than not."""

_AGE = ("GetRecords.IteratorAgeMilliseconds", "Maximum")
_LATENCY = {"put": ("PutRecords.Latency", "Average"), "age": _AGE, "get": ("GetRecords.Latency", "Average")}
_LATENCY_SUFFIX, _AGE_SUFFIX = ":data-latency", ":iterator-age"


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm on metrics of one stream: their (name, statistic) by the names that ``expression`` has for them.

    An empty expression stands for the only metric.

    It goes off when that was above ``threshold`` (milliseconds) in ``periods`` periods of ``period`` seconds.
    """

    name: str
    stream: str
    description: str
    expression: str
    metrics: Mapping[str, tuple[str, str]]
    threshold: float
    period: int = PERIOD
    periods: int = PERIODS


def prefix(stack: str) -> str:
    """How the names of the alarms of a stack's streams begin; no stream name holds a colon."""
    return f"{stack}-stream:"


def names(stack: str, stream: str) -> tuple[str, str]:
    """The names of a stream's two alarms, whether they are there or not."""
    return f"{prefix(stack)}{stream}{_LATENCY_SUFFIX}", f"{prefix(stack)}{stream}{_AGE_SUFFIX}"


def stream_of(stack: str, name: str) -> str:
    """The stream that an alarm of ``names`` is for."""
    return name.removeprefix(prefix(stack)).removesuffix(_LATENCY_SUFFIX).removesuffix(_AGE_SUFFIX)


def alarms_of(stack: str, stream: str, tags: Mapping[str, str]) -> Iterator[Alarm]:
    """The alarms that a stream's tags ask for; none for one that this stack did not make."""
    if not stream_tags.is_managed(tags):
        return
    latency_name, age_name = names(stack, stream)
    latency = _milliseconds(tags.get(stream_tags.SLO_LATENCY))
    if latency is not None:
        told = f"Data of stream {stream} was older than {latency:,} ms when it was read, for {PERIODS} minutes."
        # A minute without a write or a read has no latency of it, and adds none.
        expression = "FILL(put, 0) + age + FILL(get, 0)"
        yield Alarm(latency_name, stream, told, expression, _LATENCY, latency)
    age = _milliseconds(tags.get(stream_tags.SLO_ITERATOR_AGE))
    if age is not None:
        told = f"A reader of stream {stream} was more than {age:,} ms behind its newest records, for {PERIODS} minutes."
        yield Alarm(age_name, stream, told, "", {"age": _AGE}, age)


def _milliseconds(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and text.isascii() and int(text) > 0 else None

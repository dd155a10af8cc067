"""What can go wrong with one AWS call, and where."""

from dataclasses import dataclass
from enum import StrEnum

from tests.faults.machine import Place


class Kind(StrEnum):
    """A way in which a call fails. *After* means that it took effect, and nobody was told."""

    THROTTLED = "throttled"
    DENIED = "denied"
    NOT_KNOWN_YET = "not-known-yet"  # Kinesis does not know everywhere, for a while, the stream that it has just made
    PARTLY_THROTTLED = "partly-throttled"  # PutRecords answers 200, and says of each second record that it was not kept
    ERROR_500 = "error-500"
    UNREACHABLE = "unreachable"  # no connection was made: nothing was sent, and the caller knows
    LOST_BEFORE = "connection-lost-before"  # nothing took effect, and the caller can't know
    LOST_AFTER = "connection-lost-after"
    TIMED_OUT = "read-timeout-after"
    CUT = "answer-cut-short"  # GetObject's body ends before its length
    DIES_BEFORE = "function-dies-before"
    DIES_AFTER = "function-dies-after"
    STOPPED = "execution-stopped"  # the function runs on, the execution does not
    STOPPED_STUCK = "execution-stopped-call-stuck"  # the same, and the call takes effect after the clean-up
    RUN_TIMED_OUT = "execution-timed-out"
    FUNCTION_THROTTLED = "function-throttled"  # Lambda does not run the function: too many run at once


INVOKE = "lambda.Invoke"
"""Step Functions' call of a function. Lambda queues the events of the others, and so throttles none of them."""

JUST_MADE = frozenset(
    {"CreateStream", "CheckActive", "InsertSlice", "InsertSliceApart", "ReadShards", "ReadShardsApart"}
)
"""States within seconds of CreateStream; later ones come when every part of Kinesis knows the stream."""

OF_NO_STREAM = frozenset({"kinesis.CreateStream", "kinesis.DescribeLimits", "kinesis.ListStreams"})
STOPS = frozenset({Kind.STOPPED, Kind.STOPPED_STUCK, Kind.RUN_TIMED_OUT})
"""These end the execution, and so happen once."""

BRIEF = STOPS | {Kind.NOT_KNOWN_YET}
"""These never last: Kinesis knows a stream everywhere after seconds."""


@dataclass(frozen=True)
class Fault:
    """The ``occurrence``-th call (from 1) of an operation in a state fails, and as many as make ``calls`` in all.

    ``lasting``: each from then on.
    """

    place: Place
    operation: str
    occurrence: int
    kind: Kind
    lasting: bool
    calls: int = 1

    def __str__(self) -> str:
        lasting = "lasting" if self.lasting else "once" if self.calls == 1 else f"{self.calls}-times"
        where = f"{self.place.machine}:{self.place.state}"
        return f"{where}-{self.operation}-{self.occurrence}-{self.kind}-{lasting}"


def kinds_of(place: Place, operation: str) -> list[Kind]:
    """The ways in which an operation can fail there that differ: a read has no effect, before or after which it is
    lost; only a stream that was just made may not be known yet."""
    if operation == INVOKE:
        return [Kind.FUNCTION_THROTTLED]
    kinds = set(Kind) - {Kind.FUNCTION_THROTTLED}
    if operation != "kinesis.PutRecords":
        kinds -= {Kind.PARTLY_THROTTLED, Kind.UNREACHABLE}  # who sends records minds whether they can have arrived
    if operation != "s3.GetObject":
        kinds -= {Kind.CUT}
    if is_read(operation):
        kinds -= {Kind.LOST_BEFORE, Kind.DIES_BEFORE}
    if place.state not in JUST_MADE or not operation.startswith("kinesis.") or operation in OF_NO_STREAM:
        kinds -= {Kind.NOT_KNOWN_YET}
    return [kind for kind in Kind if kind in kinds]


def is_read(operation: str) -> bool:
    """Whether an operation changes nothing."""
    return operation.split(".")[1].startswith(("Get", "Describe", "List", "Query", "Head"))

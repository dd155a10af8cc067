"""The verdict that is true for a case, and why: that of the first rule which is about the case.

It follows from what a fault does: whether the call took effect, whether trying again mends it, and whether the run can
do without.
"""

from collections.abc import Callable
from typing import NamedTuple

from tests.faults.fault import INVOKE, STOPS, Fault, Kind
from tests.faults.matrix import Case

DEATHS = frozenset({Kind.DIES_BEFORE, Kind.DIES_AFTER})
"""No error is told: the state is tried again, or the request is gone with its function."""

EFFECTIVE = frozenset({Kind.LOST_AFTER, Kind.TIMED_OUT, Kind.DIES_AFTER})
"""The call took effect, and nobody was told."""

SECOND_LOOKS = (("CreateStream", "kinesis.ListTagsForStream"), ("CreateStream", "kinesis.DescribeStreamSummary"))
STORES = (("Plan", "dynamodb.PutItem"), ("Start", "dynamodb.PutItem"))
STARTS = (("Start", "stepfunctions.StartExecution"),)
CAN_NOT_FIND_OUT = (("Close", "kinesis.ListTagsForStream"), ("Analyze", "cloudwatch.GetMetricData"))


READING = frozenset({"ReadShards", "ReadShardsApart"})


class Rule(NamedTuple):
    """``verdict`` is None where no run is stored."""

    verdict: str | None
    why: str
    about: Callable[[Case], bool]


def _at(case: Case, *places: tuple[str, str]) -> bool:
    return (case.fault.place.state, case.fault.operation) in places


def _stays(fault: Fault) -> bool:
    """Whether trying again does not mend it; what is denied is not tried again at all."""
    return fault.lasting or fault.kind is Kind.DENIED


def _told(fault: Fault) -> bool:
    """Whether the function is told of an error, after all the tries of its client."""
    return (_stays(fault) or fault.calls > 1) and fault.kind not in DEATHS


def _never_stored(case: Case) -> bool:
    gone = case.spec == "started" and case.fault.kind is Kind.DIES_BEFORE  # over HTTP nobody tries again
    return (gone or _stays(case.fault)) and case.fault.kind not in EFFECTIVE and _at(case, *STORES, ("Plan", INVOKE))


def _stored_in_vain(case: Case) -> bool:
    return case.fault.kind in EFFECTIVE and (case.fault.lasting or case.fault.kind in DEATHS) and _at(case, STORES[1])


def _not_timed(case: Case) -> bool:
    """Whether a reader ends after its claim, and before the table tells of a checkpoint of it."""
    fault = case.fault
    if fault.place.state not in READING or _stays(fault):
        return False
    dies, first = fault.kind in DEATHS, fault.occurrence == 1
    match fault.operation:
        case "dynamodb.GetItem":  # the first comes before the claim
            return dies and not first
        case "dynamodb.UpdateItem":  # the claim, then the word of the checkpoint; of a long run only the last is tried
            claimed = first and fault.kind in EFFECTIVE and (dies or _told(fault))
            return claimed or (fault.occurrence == 2 and fault.kind is Kind.DIES_BEFORE)
        case "s3.PutObject":  # of a long run the last is tried: it takes the place of one that is told of
            return (dies or _told(fault)) and (first or fault.kind is not Kind.DIES_AFTER)
        case _:
            return dies


RULES = (
    Rule(
        "ABORTED",
        "It was stopped while it inserted, whatever failed behind it.",
        lambda case: case.spec in {"stopped", "orphaned"},
    ),
    Rule(
        "PASSED",
        "The function runs on, and closes the run before the clean-up comes, a second later.",
        lambda case: case.fault.place.state == "Close" and case.fault.kind in STOPS - {Kind.STOPPED_STUCK},
    ),
    Rule("ABORTED", "Its execution was ended.", lambda case: case.fault.kind in STOPS),
    Rule(None, "Nothing is stored: there is no run, and whoever asked for one is told, or asks again.", _never_stored),
    Rule("FAILED", "Stored, and nobody is told so: a sweep finds that it was never started.", _stored_in_vain),
    Rule(
        "FAILED",
        "Stored, and nobody lives to start it: a sweep finds that it was never started.",
        lambda case: _at(case, *STARTS) and case.fault.kind is Kind.DIES_BEFORE,
    ),
    Rule(
        "ABORTED",
        "Step Functions does not start it, so it is closed at once.",
        lambda case: _at(case, *STARTS) and _stays(case.fault) and case.fault.kind not in EFFECTIVE,
    ),
    Rule(
        "PASSED",
        "It took effect: the execution goes on by itself, and who deletes again finds the stream DELETING.",
        lambda case: _at(case, *STARTS, ("DeleteStream", "kinesis.DeleteStream")) and case.fault.kind in EFFECTIVE,
    ),
    Rule(
        "DEGRADED",
        "The state says what it could not find out, and goes on.",
        lambda case: _at(case, *CAN_NOT_FIND_OUT) and _told(case.fault),
    ),
    Rule(
        "PASSED",
        "CloudWatch is waited for no longer than MetricsWaitSeconds, and tells Analyze all.",
        lambda case: _at(case, ("AwaitMetrics", "cloudwatch.GetMetricData")) and _told(case.fault),
    ),
    Rule(
        "PASSED",
        "The stream is made: CheckActive looks at it in any case.",
        lambda case: _at(case, *SECOND_LOOKS) and case.fault.kind not in DEATHS | {Kind.DENIED},
    ),
    Rule(
        "PASSED",
        "Kinesis answers it once a second for the whole account, so CreateStream has the last word.",
        lambda case: _at(case, ("CreateStream", "kinesis.DescribeLimits")) and case.fault.kind is Kind.THROTTLED,
    ),
    Rule("DEGRADED", "What a reader read and did not keep is read again: nobody can tell how late it was.", _not_timed),
    Rule("FAILED", "Trying again does not mend it, and the run can't do without.", lambda case: _stays(case.fault)),
    Rule("PASSED", "Tried again, it goes well.", lambda case: not _stays(case.fault)),
)


def expected(case: Case) -> Rule:
    """The rule that tells the verdict of a case."""
    return next(rule for rule in RULES if rule.about(case))

"""A run's stream is made while the run may still have one, and not confirmed gone while it may still be made.

CreateStream can't be called back, and who sends it may be given up (stopped, timed out, dead) before it takes effect.
So it is announced in the run's item just before it is sent, by a write that a failed or closed run refuses; and who
failed to make the stream, and lives, withdraws what it announced. From that item alone follows how long a stream that
Kinesis does not know may yet appear.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

from weir.runs.models import Run, Step
from weir.runs.wiring import Wiring
from weir.runtime.errors import Conflict, WeirError
from weir.runtime.observability import logger
from weir.streams.kinesis import Kinesis
from weir.streams.lifecycle import create_stream
from weir.streams.models import Stream, StreamSpec

KNOWN_WITHIN = timedelta(seconds=30)
"""How long Kinesis may not know a stream that it has just made."""

CREATED_WITHIN = timedelta(seconds=300) + KNOWN_WITHIN
"""How long after it was announced a CreateStream may still show a stream, where nobody told what became of it.

That is as long as its function may live (``Timeout`` of RunControlFunction: Lambda ends it then, whatever the call is
waiting for), and Kinesis may not know what it made. No sum of the client's time-outs and tries bounds it as surely.
"""


class NoStreamWanted(Conflict):
    """The run has come to its end, or has its stream: none is made for it any more."""

    slug, title = "no-stream-wanted", "No stream is wanted any more"


class _Announcing:
    """Kinesis, which announces each CreateStream just before it is sent: not before the calls that come first."""

    def __init__(self, kinesis: Kinesis, announce: Callable[[], None]) -> None:
        self._kinesis = kinesis
        self._announce = announce

    def create(self, spec: StreamSpec, tags: Mapping[str, str]) -> None:
        self._announce()
        self._kinesis.create(spec, tags)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kinesis, name)


def make_stream(run: Run, spec: StreamSpec, wires: Wiring) -> Stream:
    """Make the run's stream, or adopt it where an earlier try made it.

    Raises
    ------
    NoStreamWanted
        The run has failed or is closed, or its stream was there already: nothing is made.
    WeirError
        As ``create_stream`` tells; the stream may have been made all the same.
    """
    earlier = _step(run)
    announced_at = _announce(run, wires)

    def again() -> None:
        nonlocal announced_at
        announced_at = _announce(run, wires)

    kinesis = cast("Kinesis", _Announcing(wires.kinesis, again))
    try:
        return create_stream(
            kinesis, spec, owner=run.owner_tag, run_id=run.run_id, clock=wires.clock, account=wires.account
        )
    except WeirError as error:
        # Of an earlier try that nobody told the end of, this one can't tell it either: it may be on its way.
        if earlier is None or earlier.ended_at is not None:
            _withdraw(run, announced_at, error, wires)
        raise


def _announce(run: Run, wires: Wiring) -> datetime:
    at = wires.clock.now()
    if not wires.table.announce_create(run.run_id, at):
        raise NoStreamWanted(f"Run {run.run_id} has come to its end, or has its stream: none is made for it any more.")
    return at


def _withdraw(run: Run, announced_at: datetime, error: WeirError, wires: Wiring) -> None:
    try:
        wires.table.withdraw_create(run.run_id, announced_at, wires.clock.now(), error.detail)
    except WeirError as untold:
        # The error that is raised says more; what is announced is waited for, as if this function had died.
        logger().warning("that no stream was made is not told: %s", untold.detail)


def may_still_come(run: Run, wires: Wiring) -> bool:
    """Whether a stream that Kinesis does not know may yet be made, or be made and not known yet.

    A try that failed may have made it, too: a call that was not answered may have taken effect.
    """
    step = _step(run)
    if step is None or run.stream_seen:
        return False
    now = wires.clock.now()
    if step.ended_at is None:
        return now - step.started_at < CREATED_WITHIN
    return now - step.ended_at < KNOWN_WITHIN


def _step(run: Run) -> Step | None:
    return next((step for step in run.steps if step.name == "CreateStream"), None)

"""Nothing left behind, whatever died: expired streams are deleted, runs that nobody drives any more are cleaned up.

And no alarm outlives its stream, nor is a stream without the alarms that its tags ask for.

The sweeper never touches a stream without both the managed tag and an expiry that has passed, and reads the tags again
just before it deletes. It asks Kinesis itself, for the tagging API may lag by hours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from weir.runs.models import NEVER_STARTED, Status
from weir.runs.wiring import Wiring
from weir.runtime.errors import NotFound, WeirError
from weir.runtime.observability import logger
from weir.streams import tags as stream_tags
from weir.streams.errors import StreamNotFound

SECONDS_BETWEEN_CALLS = 0.2
"""Kinesis takes five tag calls a second, of a whole account."""

ORPHANED_AFTER = timedelta(minutes=5)

ALARMS = "alarms"
"""Stands among what failed where CloudWatch would not tell of the alarms of streams, or not change them."""

OPEN_RUNS = "open runs"
"""Stands among what failed where the table could not tell which runs are open."""


@dataclass(slots=True)
class Sweep:
    """What a sweep did, or, in a dry run, would do. ``unexamined`` streams are left for the next sweep."""

    dry_run: bool
    examined: int = 0
    unexamined: int = 0
    deleted: list[str] = field(default_factory=list)
    cleaned_up: list[str] = field(default_factory=list)
    alarms_made: list[str] = field(default_factory=list)
    alarms_deleted: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "dry_run": self.dry_run,
            "examined": self.examined,
            "unexamined": self.unexamined,
            "deleted": self.deleted,
            "cleaned_up": self.cleaned_up,
            "alarms_made": self.alarms_made,
            "alarms_deleted": self.alarms_deleted,
            "failed": self.failed,
        }


def sweep(wires: Wiring, *, dry_run: bool, until: float, rng: Random) -> Sweep:
    """One sweep, until all is examined or the monotonic second ``until`` comes.

    Streams are taken from a random place on, so that a sweep that runs out of time does not always miss the same ones.
    """
    swept = Sweep(dry_run)
    _sweep_runs(wires, swept, until)  # first, for they are few, and streams may take all the time there is
    known = _known_alarms(wires, swept)  # before the streams: whatever has an alarm was there by then
    names = [one["StreamName"] for one in wires.kinesis.list_streams() if one.get("StreamStatus") != "DELETING"]
    if known is not None:
        _sweep_alarms(wires, swept, known, names)
    start = rng.randrange(len(names)) if names else 0
    for name in names[start:] + names[:start]:
        if wires.clock.monotonic() >= until:
            swept.unexamined += 1
            continue
        _sweep_stream(name, wires, swept, known)
    return swept


def _known_alarms(wires: Wiring, swept: Sweep) -> set[str] | None:
    try:
        return wires.alarming.known() if wires.alarming is not None else None
    except WeirError as error:
        logger().warning("alarms are left for the next sweep: %s", error.detail)
        swept.failed.append(ALARMS)
        return None


def _sweep_alarms(wires: Wiring, swept: Sweep, known: set[str], names: list[str]) -> None:
    """Alarms of streams that are gone go, too."""
    alarming = wires.alarming
    orphans = alarming.orphans(known, names) if alarming is not None else []
    try:
        if alarming is not None and orphans and not swept.dry_run:
            alarming.delete_all(orphans)
        swept.alarms_deleted += orphans
    except WeirError as error:
        logger().warning("alarms are left for the next sweep: %s", error.detail)
        swept.failed.append(ALARMS)


def _see_to_alarms(name: str, tags: Mapping[str, str], wires: Wiring, swept: Sweep, known: set[str]) -> None:
    """A stream that asks for alarms and has none gets them: its settling was given up, or it is a run's."""
    if wires.alarming is not None and not swept.dry_run:
        swept.alarms_made += wires.alarming.make(name, tags, known)


def _sweep_stream(name: str, wires: Wiring, swept: Sweep, known: set[str] | None) -> None:
    swept.examined += 1
    try:
        wires.clock.sleep(SECONDS_BETWEEN_CALLS)
        tags = wires.kinesis.tags(name)
        if not stream_tags.is_expired(tags, wires.clock.now()):
            if known is not None:
                _see_to_alarms(name, tags, wires, swept, known)
            return
        # Read again: its owner may have taken it over, or given it more time, since the first look.
        if not stream_tags.is_expired(wires.kinesis.tags(name), wires.clock.now()):
            return
        if not swept.dry_run:
            wires.kinesis.delete(name)
        swept.deleted.append(name)
    except StreamNotFound:
        return
    except WeirError as error:
        logger().warning("stream %s is left for the next sweep: %s", name, error.detail)
        swept.failed.append(name)


def _sweep_runs(wires: Wiring, swept: Sweep, until: float) -> None:
    """Runs that are not closed though their execution has ended: an event was lost, or a clean-up died."""
    try:
        for run_id, created_at in wires.table.open_runs():
            if wires.clock.monotonic() >= until:
                return
            if wires.clock.now() - created_at >= ORPHANED_AFTER:
                _try_run(run_id, wires, swept)
    except WeirError as error:  # the table would not tell: streams are swept without it
        logger().warning("open runs are left for the next sweep: %s", error.detail)
        swept.failed.append(OPEN_RUNS)


def _try_run(run_id: str, wires: Wiring, swept: Sweep) -> None:
    try:
        _sweep_run(run_id, wires, swept)
    except WeirError as error:
        logger().warning("run %s is left for the next sweep: %s", run_id, error.detail)
        swept.failed.append(run_id)


def _sweep_run(run_id: str, wires: Wiring, swept: Sweep) -> None:
    status = wires.run_machine.status(run_id)
    if status == "RUNNING":
        return
    run = wires.table.head(run_id)
    if run is None or run.status is Status.CLOSED:
        return  # the index is behind the table
    if not swept.dry_run:
        # A name of its own each time: the clean-up that died has used up the run's.
        name = f"{run_id}-{wires.clock.now():%Y%m%dt%H%M%S}"
        wires.cleanup_machine.start(name[:80], cleanup_input(run_id, status or NEVER_STARTED, None))
    swept.cleaned_up.append(run_id)


def clean_up_after(detail: dict[str, Any], wires: Wiring) -> dict[str, Any]:
    """Answer *Step Functions Execution Status Change*: clean up behind an execution that did not close its run.

    One that did, and had to leave its stream behind, gets it deleted after all.
    """
    run_id, status = str(detail["name"]), str(detail["status"])
    run = wires.table.head(run_id)
    closed = run is not None and run.status is Status.CLOSED
    if run is not None and closed and (run.resources_left == 0 or (run.spec.keep and run.failure is None)):
        return {"run_id": run_id, "cleaned_up": False}
    _delete_at_once(run_id, wires)
    if not closed:
        document = cleanup_input(run_id, status, detail.get("cause"), detail.get("error"))
        wires.cleanup_machine.start(run_id[:80], document)
    return {"run_id": run_id, "cleaned_up": True}


def _delete_at_once(run_id: str, wires: Wiring) -> None:
    """The first blow; the clean-up machine retries, confirms and closes, so a failure here is only logged."""
    name = wires.stream_name(run_id)
    try:
        if stream_tags.is_of_run(wires.kinesis.tags(name), run_id):
            wires.kinesis.delete(name)
    except NotFound:
        return
    except WeirError as error:
        logger().warning("stream %s is left to the clean-up: %s", name, error.detail)


def cleanup_input(run_id: str, status: str, cause: str | None, error: str | None = None) -> dict[str, Any]:
    """The input of the clean-up machine: the run, and what ended it, as the machine's own failures are told."""
    known = {"ABORTED": "Stopped", "TIMED_OUT": "TimedOut"}
    ended = "the execution was never started" if status == NEVER_STARTED else f"the execution ended as {status}"
    return {
        "run_id": run_id,
        "failure": {"step": "Run", "error": known.get(status) or error or status, "cause": cause or ended},
    }

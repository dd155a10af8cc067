"""How a run, its slices and its readers are written as items of the runs table, and read back.

Items carry ``schema``; a reader of an older one upgrades it here (``shapes.py``).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from weir.runs.models import Failure, Progress, Run, RunPlan, RunSpec, RunSummary, Step, spec_json
from weir.runs.shapes import SCHEMA, SHAPES, owner_of
from weir.runtime.clock import parse_rfc3339, rfc3339
from weir.runtime.dynamodb import plain, wire

KEPT = timedelta(days=90)
Part = Literal["SLICE", "READER"]
Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PartState:
    """A slice or reader as last told: done or not, and its counts."""

    index: int
    done: bool
    checkpoint: int
    counts: dict[str, Any]


def key(run_id: str, sort: str) -> dict[str, Any]:
    """The primary key of an item of a run."""
    return {"pk": {"S": f"RUN#{run_id}"}, "sk": {"S": sort}}


def sort_key(part: Part, index: int) -> str:
    """The sort key of a slice or reader."""
    return f"{part}#{index:05d}"


def document(model: RunPlan | Failure) -> dict[str, str]:
    """A model as one JSON string."""
    return {"S": model.model_dump_json()}


def item_of(run: Run) -> dict[str, Any]:
    """The item of a run that has not begun."""
    at = f"{rfc3339(run.created_at)}#{run.run_id}"
    item = {
        **key(run.run_id, "RUN"),
        "schema": {"N": str(SCHEMA)},
        "ttl": {"N": str(int((run.created_at + KEPT).timestamp()))},
        "list": {"S": "RUNS"},
        "open": {"S": "OPEN"},
        "at": {"S": at},
        "started_by": {"S": run.started_by},
        "status": {"S": run.status},
        "created_at": {"S": rfc3339(run.created_at)},
        "expires_at": {"S": rfc3339(run.expires_at)},
        "stream_name": {"S": run.stream_name},
        "spec": {"S": json.dumps(spec_json(run.spec))},
        "began": {"M": {}},
        "ended": {"M": {}},
    }
    if run.owner is not None:
        item["owner"] = {"S": run.owner}
    if run.execution_arn is not None:
        item["execution_arn"] = {"S": run.execution_arn}
    return item


def _text(item: Mapping[str, Any], name: str) -> str | None:
    value = item.get(name, {}).get("S")
    return None if value is None else str(value)


def _time(item: Mapping[str, Any], name: str) -> datetime | None:
    value = _text(item, name)
    return None if value is None else parse_rfc3339(value)


def summary_of(item: Mapping[str, Any]) -> RunSummary:
    """A run in a list, from its item or the listing index's."""
    return RunSummary.model_validate(
        {
            "run_id": item["pk"]["S"].removeprefix("RUN#"),
            "owner": owner_of(_text(item, "owner")),
            "status": item["status"]["S"],
            "created_at": item["created_at"]["S"],
            "ended_at": _text(item, "ended_at"),
            "stream_name": item["stream_name"]["S"],
            "verdict": _text(item, "verdict"),
            "reasons": json.loads(_text(item, "reasons") or "[]"),
        }
    )


def run_of(item: Mapping[str, Any]) -> Run:
    """A run from its item of any schema that this version knows, without its progress."""
    if item["schema"]["N"] != str(SCHEMA):
        item = wire(SHAPES.current(plain(item)))
    plan, failure = _text(item, "plan"), _text(item, "failure")
    left = item.get("resources_left", {}).get("N")
    failed = None if failure is None else Failure.model_validate_json(failure)
    return Run(
        **summary_of(item).model_dump(),
        started_by=item["started_by"]["S"],
        expires_at=parse_rfc3339(item["expires_at"]["S"]),
        spec=RunSpec.model_validate_json(item["spec"]["S"]),
        plan=None if plan is None else RunPlan.model_validate_json(plan),
        steps=_steps(item, failed),
        failure=failed,
        resources_left=None if left is None else int(left),
        cost_usd=_text(item, "cost_usd"),
        execution_arn=_text(item, "execution_arn"),
        source_version=_text(item, "source_version"),
        stream_seen=item.get("stream_seen", {}).get("BOOL", False),
        published=item.get("published", {}).get("BOOL", False),
    )


def _steps(item: Mapping[str, Any], failure: Failure | None) -> tuple[Step, ...]:
    """The steps in the order in which they began. One whose last try failed has FAILED until the next one begins."""
    steps = []
    for name, began in item["began"]["M"].items():
        ended = json.loads(item["ended"]["M"].get(name, {"S": "{}"})["S"])
        broken = failure is not None and failure.step == name
        steps.append(
            Step(
                name=name,
                status="FAILED" if broken or ended.get("failed") else "DONE" if ended else "RUNNING",
                started_at=parse_rfc3339(began["S"]),
                ended_at=parse_rfc3339(ended["ended_at"]) if ended else None,
                detail=failure.cause if broken and failure else ended.get("detail"),
            )
        )
    return tuple(sorted(steps, key=lambda step: step.started_at))


def part_of(item: Mapping[str, Any]) -> PartState:
    """A slice or reader from its item."""
    counts = json.loads(_text(item, "counts") or "{}")
    counts["invocations"] = int(item["invocations"]["N"])
    index = int(item["sk"]["S"].split("#")[1])
    return PartState(index, item["done"]["BOOL"], int(item["checkpoint"]["N"]), counts)


def worked(run: Run, items: list[dict[str, Any]]) -> Iterator[Step]:
    """The steps Insert and Verify, from the times that the writers and readers told: they write no run item."""
    workers, readers = (run.plan.workers, run.plan.readers) if run.plan else (0, 0)
    for name, part, parts in (("Insert", "SLICE", workers), ("Verify", "READER", readers)):
        counts = [part_of(item) for item in items if item["sk"]["S"].startswith(part)]
        began = [one.counts["began_at"] for one in counts if one.counts.get("began_at") is not None]
        if not began:
            continue
        done = len(counts) >= parts and all(one.done for one in counts)
        broken = run.failure is not None and run.failure.step == name
        ended = [one.counts["ended_at"] for one in counts if one.counts.get("ended_at") is not None]
        yield Step(
            name=name,
            status="FAILED" if broken else "DONE" if done else "RUNNING",
            started_at=datetime.fromtimestamp(min(began), UTC),
            ended_at=datetime.fromtimestamp(max(ended), UTC) if (done or broken) and ended else None,
            detail=run.failure.cause if broken and run.failure else None,
        )


def progress_of(run: Run, items: list[dict[str, Any]]) -> Progress:
    """Counts so far, over all workers and readers."""
    slices = [part_of(item) for item in items if item["sk"]["S"].startswith("SLICE#")]
    readers = [part_of(item) for item in items if item["sk"]["S"].startswith("READER#")]

    def total(parts: list[PartState], name: str) -> int:
        return sum(int(part.counts.get(name, 0)) for part in parts)

    return Progress(
        planned=run.plan.records if run.plan else None,
        accepted=total(slices, "accepted"),
        rejected=total(slices, "rejected"),
        retried=total(slices, "retried"),
        throttled=total(slices, "throttled"),
        seen=total(readers, "seen"),
        workers_done=sum(part.done for part in slices),
        readers_done=sum(part.done for part in readers),
    )

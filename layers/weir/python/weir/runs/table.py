"""The runs table (DynamoDB), one table for the context.

Access patterns
---------------
- one run, with its slices and readers      Query  pk = RUN#<id>                          (sk RUN, SLICE#n, READER#n)
- runs, newest first, paged                 Query  index ``listing``  list = RUNS         (at = created#id)
- a user's runs, newest first, paged        Query  index ``owned``    owner = <user id>  (sparse: not of nobody's runs)
- runs that are not closed                  Query  index ``open``     open = OPEN         (sparse: removed at the close)

Races: a run is created by one conditional put; a slice or reader is taken over by raising its ``version``, and its
holder writes only while it is still the holder; a run is closed once; its stream is made only after a write that a
failed or closed run refuses. Items carry ``schema`` and a TTL. How often workers may write and read: ``partition.py``.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from weir.runs.items import (
    KEPT,
    Part,
    PartState,
    document,
    item_of,
    key,
    part_of,
    progress_of,
    run_of,
    sort_key,
    summary_of,
    worked,
)
from weir.runs.models import Failure, Run, RunPlan, RunSummary, Status, Verdict
from weir.runs.shapes import SCHEMA
from weir.runtime import aws
from weir.runtime.clock import Clock, parse_rfc3339, rfc3339
from weir.runtime.errors import Conflict, NotFound, WeirError


class RunNotFound(NotFound):
    """No run of this id."""

    slug, title = "run-not-found", "No such run"


class RunExists(Conflict):
    """The id was used before."""

    slug, title = "run-exists", "The run exists already"


class TakenOver(Conflict):
    """Another worker holds this slice or reader now: stop, and write nothing more."""

    slug, title = "taken-over", "Taken over by another worker"


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write for one slice or reader: its version, and the version whose checkpoint holds (0: none)."""

    index: int
    version: int
    checkpoint: int


class RunsTable:
    """The table behind one botocore DynamoDB client. AWS failures become WeirErrors.

    A run whose time to live is over is not there, for DynamoDB may take days to remove it.
    """

    def __init__(self, client: Any, name: str, clock: Clock) -> None:
        self._client = client
        self._name = name
        self._clock = clock

    def create(self, run: Run) -> None:
        """Store a new run. RunExists where the id was used before, and DynamoDB has not removed every trace of it."""
        item = item_of(run)
        try:
            self._client.put_item(TableName=self._name, Item=item, ConditionExpression="attribute_not_exists(pk)")
        except Exception as error:
            if aws.kind(error) == "exists":
                raise RunExists(f"There is a run {run.run_id!r} already.") from error
            raise _failed(error, "storing the run") from error

    def get(self, run_id: str) -> Run:
        """A run with its progress. RunNotFound where there is none."""
        items = list(self._query(run_id))
        heads = [item for item in items if item["sk"]["S"] == "RUN" and self._lives(item)]
        if not heads:
            raise RunNotFound(f"There is no run {run_id!r}.")
        run = run_of(heads[0])
        steps = (*run.steps, *worked(run, items))
        ordered = tuple(sorted(steps, key=lambda step: step.started_at))
        return run.model_copy(update={"progress": progress_of(run, items), "steps": ordered})

    def head(self, run_id: str) -> Run | None:
        """A run without its progress, strongly consistent; None where there is none."""
        try:
            answer = self._client.get_item(TableName=self._name, Key=key(run_id, "RUN"), ConsistentRead=True)
        except Exception as error:
            raise _failed(error, "reading the run") from error
        return run_of(answer["Item"]) if "Item" in answer and self._lives(answer["Item"]) else None

    def _lives(self, item: Mapping[str, Any]) -> bool:
        return int(item["ttl"]["N"]) >= self._clock.epoch()

    def page(
        self, limit: int, after: dict[str, str] | None, owner: str | None = None
    ) -> tuple[list[RunSummary], dict[str, str] | None]:
        """Runs newest first, one owner's or all, and where to go on (None at the end)."""
        index, attribute, value = ("listing", "list", "RUNS") if owner is None else ("owned", "owner", owner)
        query: dict[str, Any] = {
            "IndexName": index,
            "KeyConditionExpression": "#of = :value",
            "ExpressionAttributeNames": {"#of": attribute},
            "ExpressionAttributeValues": {":value": {"S": value}},
            "ScanIndexForward": False,
            "Limit": limit,
        }
        if after is not None:
            query["ExclusiveStartKey"] = {name: {"S": value} for name, value in after.items()}
        try:
            answer = self._client.query(TableName=self._name, **query)
        except Exception as error:
            raise _failed(error, "listing runs") from error
        last = answer.get("LastEvaluatedKey")
        position = {name: value["S"] for name, value in last.items()} if last else None
        found = [summary_of(item) for item in answer["Items"]]
        return [run for run in found if run.created_at + KEPT > self._clock.now()], position

    def open_runs(self) -> Iterator[tuple[str, datetime]]:
        """Id and creation time of every run that is not closed, oldest first, over all pages."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name,
            IndexName="open",
            KeyConditionExpression="#open = :open",
            ExpressionAttributeNames={"#open": "open"},
            ExpressionAttributeValues={":open": {"S": "OPEN"}},
        )
        try:
            for page in pages:
                for item in page["Items"]:
                    created_at = parse_rfc3339(item["at"]["S"].split("#")[0])
                    if created_at + KEPT > self._clock.now():
                        yield item["pk"]["S"].removeprefix("RUN#"), created_at
        except Exception as error:
            raise _failed(error, "listing open runs") from error

    def begin(self, run_id: str, plan: RunPlan, execution_arn: str, source_version: str | None) -> None:
        """The execution has planned the run: RUNNING from here on. RunNotFound where it is not there, or is closed.

        ``source_version`` is that of the S3 object which all of its writers read; None where there is none.
        """
        changes = "SET #status = :running, #plan = :plan, execution_arn = :arn"
        values = {":running": {"S": Status.RUNNING}, ":plan": document(plan), ":arn": {"S": execution_arn}}
        if source_version is not None:
            changes, values[":version"] = f"{changes}, source_version = :version", {"S": source_version}
        begun = self._update(run_id, changes, values, {"#plan": "plan"})
        if not begun:
            raise RunNotFound(f"Run {run_id!r} is closed already.")

    def seen(self, run_id: str) -> None:
        """Kinesis has shown the run's stream: from now on, that it does not know it means that it is gone."""
        self._update(run_id, "SET stream_seen = :yes", {":yes": {"BOOL": True}})

    def begin_step(self, run_id: str, name: str, at: datetime, *, anew: bool = False) -> bool:
        """A step has begun; the first time counts, for a step may be tried again, unless it is said to begin anew.

        False where the run is closed, and then nothing changes.
        """
        began = ":at" if anew else "if_not_exists(began.#step, :at)"
        return self._update(run_id, f"SET began.#step = {began}", {":at": {"S": rfc3339(at)}}, {"#step": name})

    def announce_create(self, run_id: str, at: datetime) -> bool:
        """CreateStream is about to be sent: the step begins anew, and what became of an earlier try is forgotten.

        False where it must not be sent any more, for the run has failed or is closed, or its stream was there already.
        """
        return self._update(
            run_id,
            "SET began.#step = :at REMOVE ended.#step",
            {":at": {"S": rfc3339(at)}},
            {"#step": "CreateStream"},
            only="attribute_not_exists(failure) AND attribute_not_exists(stream_seen)",
        )

    def withdraw_create(self, run_id: str, announced_at: datetime, at: datetime, detail: str) -> bool:
        """Who announced CreateStream at ``announced_at`` has failed, and sends nothing more: the step has ended.

        False where it was announced again since, or the run is closed: then nothing changes.
        """
        ended = json.dumps({"ended_at": rfc3339(at), "detail": detail, "failed": True})
        return self._update(
            run_id,
            "SET ended.#step = :ended",
            {":ended": {"S": ended}, ":announced": {"S": rfc3339(announced_at)}},
            {"#step": "CreateStream"},
            only="began.#step = :announced",
        )

    def end_step(self, run_id: str, name: str, at: datetime, detail: str | None = None) -> None:
        """A step has ended; the last time counts."""
        ended = json.dumps({"ended_at": rfc3339(at), "detail": detail})
        self._update(run_id, "SET ended.#step = :ended", {":ended": {"S": ended}}, {"#step": name})

    def fail(self, run_id: str, failure: Failure) -> None:
        """Store what broke the run; the first failure stays, for later ones follow from it."""
        self._update(run_id, "SET failure = if_not_exists(failure, :failure)", {":failure": document(failure)})

    def close(
        self,
        run_id: str,
        *,
        verdict: Verdict,
        reasons: tuple[str, ...],
        resources_left: int | None,
        cost_usd: str | None,
        ended_at: datetime,
    ) -> bool:
        """Close a run with its verdict; False where it was closed before, and then nothing changes."""
        left = {"NULL": True} if resources_left is None else {"N": str(resources_left)}
        cost = {"NULL": True} if cost_usd is None else {"S": cost_usd}
        try:
            self._client.update_item(
                TableName=self._name,
                Key=key(run_id, "RUN"),
                UpdateExpression="SET #status = :closed, verdict = :verdict, reasons = :reasons, "
                "resources_left = :left, cost_usd = :cost, ended_at = :at REMOVE #open",
                ConditionExpression="attribute_exists(pk) AND #status <> :closed",
                ExpressionAttributeNames={"#status": "status", "#open": "open"},
                ExpressionAttributeValues={
                    ":closed": {"S": Status.CLOSED},
                    ":verdict": {"S": verdict},
                    ":reasons": {"S": json.dumps(reasons)},
                    ":left": left,
                    ":cost": cost,
                    ":at": {"S": rfc3339(ended_at)},
                },
            )
        except Exception as error:
            if aws.kind(error) == "exists":
                return False
            raise _failed(error, "closing the run") from error
        return True

    def published(self, run_id: str) -> None:
        """The metrics of a closed run are published."""
        try:
            self._client.update_item(
                TableName=self._name,
                Key=key(run_id, "RUN"),
                UpdateExpression="SET published = :yes",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeValues={":yes": {"BOOL": True}},
            )
        except Exception as error:
            raise _failed(error, "changing the run") from error

    def claim(self, run_id: str, part: Part, index: int, expires_at: datetime) -> Claim:
        """Take a slice or reader over from whoever held it, dead or alive."""
        try:
            answer = self._client.update_item(
                TableName=self._name,
                Key=key(run_id, sort_key(part, index)),
                UpdateExpression="SET #schema = :schema, #ttl = :ttl, checkpoint = if_not_exists(checkpoint, :none), "
                "done = if_not_exists(done, :no) ADD version :one, invocations :one",
                ExpressionAttributeNames={"#schema": "schema", "#ttl": "ttl"},
                ExpressionAttributeValues={
                    ":schema": {"N": str(SCHEMA)},
                    ":ttl": {"N": str(int((expires_at + KEPT).timestamp()))},
                    ":none": {"N": "0"},
                    ":no": {"BOOL": False},
                    ":one": {"N": "1"},
                },
                ReturnValues="ALL_NEW",
            )
        except Exception as error:
            raise _failed(error, f"claiming {part.lower()} {index}") from error
        found = answer["Attributes"]
        return Claim(index, int(found["version"]["N"]), int(found["checkpoint"]["N"]))

    def tell(
        self,
        run_id: str,
        part: Part,
        claim: Claim,
        counts: Mapping[str, Any],
        *,
        saved: bool = False,
        done: bool = False,
    ) -> None:
        """Store a slice's or reader's counts so far.

        Parameters
        ----------
        saved
            The checkpoint of this version is stored, and holds from now on.

        Raises
        ------
        TakenOver
            Another worker has claimed it since.
        """
        changes = "SET counts = :counts, done = :done" + (", checkpoint = :mine" if saved else "")
        try:
            self._client.update_item(
                TableName=self._name,
                Key=key(run_id, sort_key(part, claim.index)),
                UpdateExpression=changes,
                ConditionExpression="version = :mine",
                ExpressionAttributeValues={
                    ":counts": {"S": json.dumps(dict(counts))},
                    ":done": {"BOOL": done},
                    ":mine": {"N": str(claim.version)},
                },
            )
        except Exception as error:
            if aws.kind(error) == "exists":
                raise TakenOver(f"{part.title()} {claim.index} of the run is held by another worker.") from error
            raise _failed(error, f"telling how {part.lower()} {claim.index} stands") from error

    def parts(self, run_id: str, part: Part, *, consistent: bool = True) -> list[PartState]:
        """All slices or readers of a run that have begun, by index, over all pages.

        ``consistent`` False may answer what was so a moment ago, for half the read units.
        """
        return [part_of(item) for item in self._query(run_id, prefix=f"{part}#", consistent=consistent)]

    def _query(self, run_id: str, prefix: str | None = None, *, consistent: bool = True) -> Iterator[dict[str, Any]]:
        condition, values = "pk = :pk", {":pk": {"S": f"RUN#{run_id}"}}
        if prefix is not None:
            condition, values = f"{condition} AND begins_with(sk, :sk)", {**values, ":sk": {"S": prefix}}
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ConsistentRead=consistent,
        )
        try:
            for page in pages:
                yield from page["Items"]
        except Exception as error:
            raise _failed(error, "reading the run") from error

    def _update(
        self,
        run_id: str,
        changes: str,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
        *,
        only: str | None = None,
    ) -> bool:
        """Change a run that is not closed, and only on the condition that is given; False where nothing was changed.

        What is closed stays as it was judged.
        """
        condition = "attribute_exists(pk) AND #status <> :closed"
        try:
            self._client.update_item(
                TableName=self._name,
                Key=key(run_id, "RUN"),
                UpdateExpression=changes,
                ConditionExpression=condition if only is None else f"{condition} AND {only}",
                ExpressionAttributeNames={"#status": "status", **(names or {})},
                ExpressionAttributeValues={":closed": {"S": Status.CLOSED}, **values},
            )
        except Exception as error:
            if aws.kind(error) != "exists":
                raise _failed(error, "changing the run") from error
            if self.head(run_id) is None:
                raise RunNotFound(f"There is no run {run_id!r}.") from error
            return False
        return True


def _failed(error: Exception, doing: str) -> Exception:
    """The domain error for an AWS failure; any other exception as it is."""
    return aws.translate(error, doing) if not isinstance(error, WeirError) and aws.is_aws_error(error) else error

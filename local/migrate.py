"""Take the items of a table to another schema, in place: ``python -m local.migrate TABLE SCHEMA STAGE [--dry-run]``.

What changes is told by the steps in ``weir.<context>.shapes``; here is how it is written. Four segments of the table
are scanned side by side. Of an item only the fields that a step looks at are written, on condition that they, and its
schema, are as they were read; an item that somebody has changed meanwhile is read again. How far each segment has come
is kept in a file, so that a migration that was stopped goes on where it was. At the end the table is counted.

``local`` is the stack on the local AWS; any other stage is on a real account, and is asked about first.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local import places, stack
from weir.analysis.analyses.shapes import SHAPES as ANALYSES
from weir.identity.shapes import SHAPES as IDENTITY
from weir.llm.shapes import SHAPES as LLM
from weir.packages.shapes import SHAPES as PACKAGES
from weir.runs.shapes import SHAPES as RUNS
from weir.runtime.dynamodb import Item, Table, plain
from weir.runtime.errors import TooManyRequests, Unavailable, WeirError
from weir.runtime.migrations import Shapes
from weir.usage.shapes import SHAPES as USAGE

TABLES = {
    "analyses": (ANALYSES, "AnalysesTableName"),
    "identity": (IDENTITY, "IdentityTableName"),
    "llm": (LLM, "LlmTableName"),
    "packages": (PACKAGES, "PackagesTableName"),
    "runs": (RUNS, "RunsTableName"),
    "usage": (USAGE, "UsageTableName"),
}
SEGMENTS = 4
PAGE = 200
TRIES = 10
_TELL_SECONDS = 2.0


class MigrationError(Exception):
    """It could not be done to the end; the message says why, and what to do."""


@dataclass
class Position:
    """How far a migration has come: for each segment the last key that was done, and what was done so far."""

    file: Path | None
    of: Mapping[str, Any]
    after: list[Item | None] = field(default_factory=lambda: [None] * SEGMENTS)
    done: list[bool] = field(default_factory=lambda: [False] * SEGMENTS)
    counts: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def found(cls, file: Path | None, of: Mapping[str, Any]) -> "Position":
        """Where a migration of the same table to the same schema was stopped; else its beginning."""
        try:
            kept = json.loads(file.read_text()) if file is not None else {}
        except (FileNotFoundError, ValueError):
            kept = {}
        if kept.get("of") != dict(of):
            return cls(file, of)
        return cls(file, of, kept["after"], kept["done"], Counter(kept["counts"]))

    @property
    def begun(self) -> bool:
        """Whether there is anything to go on from."""
        return any(self.done) or any(key is not None for key in self.after)

    def page_done(self, segment: int, after: Item | None, counts: Counter[str]) -> None:
        """A page of a segment is done; kept in one step, so that a file is never half written."""
        with self.lock:
            self.after[segment], self.done[segment] = after, after is None
            self.counts += counts
            if self.file is not None:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                draft = self.file.with_suffix(".draft")
                kept = {"of": self.of, "after": self.after, "done": self.done, "counts": self.counts}
                draft.write_text(json.dumps(kept))
                draft.replace(self.file)

    def forget(self) -> None:
        """The migration has come to its end."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)


class Migration:
    """Takes one table to a schema. ``client`` is botocore's; ``say`` tells the person how it goes."""

    def __init__(
        self,
        client: Any,
        name: str,
        shapes: Shapes,
        schema: int,
        say: Callable[[str], None],
        *,
        dry_run: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not 1 <= schema <= shapes.schema:
            raise MigrationError(f"The table {shapes.table} has the schemas 1 to {shapes.schema}, and no {schema}.")
        self._client, self._name, self._shapes, self._schema = client, name, shapes, schema
        self._table, self._say, self._dry_run, self._sleep = Table(client, name), say, dry_run, sleep
        self._stopped = threading.Event()
        self._told_at = 0.0

    def run(self, file: Path | None = None) -> Counter[str]:
        """Migrate all items, from where ``file`` says that it was stopped; answers what became of them.

        ``moved`` were written, ``there`` had the schema, ``gone`` were deleted meanwhile.

        Raises
        ------
        MigrationError
            An item could not be read or written; or, at the end, not all have the schema.
        """
        described = self._client.describe_table(TableName=self._name)["Table"]
        made = str(described.get("TableId") or described.get("CreationDateTime"))
        position = Position.found(
            None if self._dry_run else file,
            {"table": self._name, "made": made, "schema": self._schema, "segments": SEGMENTS},
        )
        if position.begun:
            self._say(f"Going on where it was stopped, after {position.counts.total():,} items")
        with ThreadPoolExecutor(SEGMENTS) as pool:
            futures = [pool.submit(self._segment, segment, position) for segment in range(SEGMENTS)]
            try:
                wait(futures)
            except KeyboardInterrupt:
                self._stopped.set()
                raise
        if failures := [error for future in futures if (error := future.exception()) is not None]:
            raise failures[0]
        if not self._dry_run:
            self._verify()
        position.forget()
        return position.counts

    def _segment(self, segment: int, position: Position) -> None:
        if position.done[segment]:
            return
        try:
            for items, after in self._pages(segment, position.after[segment]):
                if self._stopped.is_set():
                    return
                position.page_done(segment, after, Counter(self._moved(item) for item in items))
                self._tell(position)
        except BaseException:
            self._stopped.set()  # the others need not go on: what they have done is kept
            raise

    def _pages(
        self, segment: int, after: Item | None, only: str | None = None
    ) -> Iterator[tuple[list[Item], Item | None]]:
        """Pages of a segment, strongly consistent, each with the key to go on after; ``only`` that field of an item."""
        request: dict[str, Any] = {
            "TableName": self._name,
            "Segment": segment,
            "TotalSegments": SEGMENTS,
            "Limit": PAGE,
            "ConsistentRead": True,
        }
        if only is not None:
            request |= {"ProjectionExpression": "#only", "ExpressionAttributeNames": {"#only": only}}
        while True:
            start = {} if after is None else {"ExclusiveStartKey": {name: {"S": key} for name, key in after.items()}}
            answer = self._client.scan(**request, **start)
            last = answer.get("LastEvaluatedKey")
            after = plain(last) if last else None
            yield [plain(item) for item in answer["Items"]], after
            if after is None:
                return

    def _moved(self, item: Item) -> str:
        """Take one item to the schema; tells what became of it."""
        found: Item | None = item
        for turn in range(TRIES):
            if found is None:
                return "gone"
            if found.get("schema") == self._schema:
                return "there"
            moved = self._shapes.moved(found, self._schema)
            if self._dry_run:
                return "moved"
            try:
                if self._written(found, moved):
                    return "moved"
            except (TooManyRequests, Unavailable):
                self._sleep(min(0.1 * 2**turn, 5.0))
            found = self._table.get({"pk": item["pk"], "sk": item["sk"]})
        raise MigrationError(
            f"The item {item['pk']} / {item['sk']} is being changed all the time, or DynamoDB is busy: run it again."
        )

    def _written(self, item: Item, moved: Item) -> bool:
        """Write what differs, unless somebody has changed the fields that the step looked at."""
        fields = self._shapes.fields(item, self._schema)
        names = {f"n{index}": name for index, name in enumerate(fields)}
        sets = {alias: moved[name] for alias, name in names.items() if name in moved and moved[name] != item.get(name)}
        removes = [alias for alias, name in names.items() if name in item and name not in moved]
        changes = "SET " + ", ".join(f"#{alias} = :new_{alias}" for alias in sets)
        if removes:
            changes += " REMOVE " + ", ".join(f"#{alias}" for alias in removes)
        same = [
            f"#{alias} = :old_{alias}" if name in item else f"attribute_not_exists(#{alias})"
            for alias, name in names.items()
        ]
        values = {f"new_{alias}": value for alias, value in sets.items()}
        values |= {f"old_{alias}": item[name] for alias, name in names.items() if name in item}
        key = {"pk": item["pk"], "sk": item["sk"]}
        return self._table.update(key, changes, " AND ".join(same), values, names).done

    def _verify(self) -> None:
        """MigrationError unless all items have the schema."""
        self._say("Counting what there is now")
        with ThreadPoolExecutor(SEGMENTS) as pool:
            counts = sum(pool.map(self._counted, range(SEGMENTS)), Counter[str]())
        told = ", ".join(f"{count:,} of schema {schema}" for schema, count in sorted(counts.items())) or "no item"
        self._say(f"The table has {told}")
        if left := counts.total() - counts[str(self._schema)]:
            raise MigrationError(
                f"{left:,} items have another schema: a version that is still at work has written them meanwhile."
                " Deploy the one that writes this schema, then run it again."
            )

    def _counted(self, segment: int) -> Counter[str]:
        return Counter(str(item.get("schema")) for items, _ in self._pages(segment, None, "schema") for item in items)

    def _tell(self, position: Position) -> None:
        if time.monotonic() - self._told_at > _TELL_SECONDS:
            self._told_at = time.monotonic()
            self._say(f"{position.counts.total():,} items, {position.counts['moved']:,} moved")


def summary(counts: Counter[str], schema: int, *, dry_run: bool) -> str:
    """What became of the items, in a sentence."""
    moved = f"{counts['moved']:,} {'would be' if dry_run else 'were'} taken to schema {schema}"
    return f"{counts.total():,} items: {moved}, {counts['there']:,} had it, {counts['gone']:,} were deleted meanwhile."


def main(arguments: list[str]) -> int:
    """Ask where it matters, migrate, tell; the status is 1 where it was not done to the end."""
    parser = argparse.ArgumentParser(prog="python -m local.migrate", description=__doc__)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("schema", type=int)
    parser.add_argument("stage", choices=("local", "dev", "prod"))
    parser.add_argument("--dry-run", action="store_true")
    chosen = parser.parse_args(arguments)
    shapes, output = TABLES[chosen.table]
    try:
        client, name, where = _opened(chosen.stage, output)
        if not chosen.dry_run and not _agreed(chosen, where):
            print("Nothing was done.", file=sys.stderr)
            return 1
        migration = Migration(client, name, shapes, chosen.schema, _say, dry_run=chosen.dry_run)
        file = places.STATE / f"migrate-{chosen.stage}-{chosen.table}.json"
        _say(f"{summary(migration.run(file), chosen.schema, dry_run=chosen.dry_run)}")
    except (MigrationError, WeirError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. Run it again to go on.", file=sys.stderr)
        return 130
    return 0


def _opened(stage: str, output: str) -> tuple[Any, str, str]:
    """A DynamoDB client, the table's name, and where that is, in words."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(retries={"mode": "adaptive", "total_max_attempts": 10}, max_pool_connections=2 * SEGMENTS)
    try:
        if stage == "local":
            document = stack.read()
            if document is None:
                raise MigrationError("No local AWS is running: make up")
            client = boto3.client(
                "dynamodb",
                endpoint_url=document["aws_endpoint_url"],
                region_name=document["region"],
                aws_access_key_id=places.ROOT_KEY,
                aws_secret_access_key=places.ROOT_SECRET,
                config=config,
            )
            return client, document["outputs"][output], "the local AWS"
        session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
        stack_name = f"{stack.STACK_NAME}-{stage}"
        found = session.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"][0]
        outputs = {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])}
        account = session.client("sts").get_caller_identity()["Account"]
        where = f"account {account}, region {session.region_name}, stack {stack_name}"
        return session.client("dynamodb", config=config), outputs[output], where
    except (BotoCoreError, ClientError) as error:
        raise MigrationError(f"The stack of {stage} can't be found: {error}") from error
    except KeyError as error:
        raise MigrationError(f"The stack of {stage} has no output {output}: deploy it anew.") from error


def _agreed(chosen: argparse.Namespace, where: str) -> bool:
    if chosen.stage == "local":
        return True
    print(f"Table {chosen.table} to schema {chosen.schema}: {where}.\nGo on? Type yes: ", end="", flush=True)
    return sys.stdin.readline().strip() == "yes"


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``weir packages push`` and ``pull`` beside ``aws s3 cp``: the same bytes, the same endpoint, one run.

``python -m tests.benchmarks.packages [--bytes N] [--rounds N] [--stack FILE]`` needs a stack that runs (``make up``),
prints a table, and last one JSON line. Each command is a process of its own; its time is from start to end, its memory
the most that it ever had. The two take turns at being first. What waits for the scan is not timed. The bytes are random
and new in each round, so that nobody meets them again.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table

from client.api import Api, ApiError, Unreachable
from client.here import sign
from client.target import STACK_FILE, TargetUnknown, find_target

REPOSITORY = Path(__file__).resolve().parents[2]
GIB = 1024**3
MIB = 1024**2
AIM, MOST_MIB = 0.95, 64
PATIENCE_SECONDS = 900.0
BUCKET = "weir-bench"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True, slots=True)
class Done:
    """What a process took."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


class Failed(Exception):
    """A process failed; the message is what it said."""


def environment() -> dict[str, str]:
    """The processes': this repository importable, the local AWS's credentials, of the caller's settings but a key."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "WEIR_", "PYTHON"))}
    key = {name: os.environ[name] for name in ("WEIR_API_KEY",) if name in os.environ}
    none = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull}
    return kept | key | none | CREDENTIALS | {"PYTHONPATH": str(REPOSITORY)}


def timed(*command: object) -> Done:
    """Run a Python module with arguments to its end. Failed where it fails."""
    finished = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.timed", sys.executable, "-m", *map(str, command)],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=REPOSITORY,
        check=False,
    )
    if finished.returncode:
        raise Failed(finished.stderr.strip()[-500:])
    took = json.loads(finished.stdout)
    if "failed" in took:
        raise Failed(took["failed"])
    return Done(**took)


class Bench:
    """One run: a folder to work in, a stack, a bucket for ``aws s3 cp``, a package for ``weir``."""

    def __init__(self, stack: Path, folder: Path, size: int) -> None:
        self._folder, self._size = folder, size
        document = json.loads(stack.read_text())
        self._endpoint = document["aws_endpoint_url"]
        target = find_target(None, stack)
        self._api = Api(target)
        sign(self._api, target)
        self._s3 = boto3.client(
            "s3",
            endpoint_url=self._endpoint,
            region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )
        self._weir = ("client.weir", "--stack", stack)
        self._aws = ("awscli", "--endpoint-url", self._endpoint, "s3", "cp", "--quiet")
        self._name = f"bench-{int(time.time())}"
        self._source, self._back = folder / "source.bin", folder / "back.bin"

    @contextmanager
    def bucket(self) -> Iterator[None]:
        """The bucket, and nothing of it afterwards."""
        self._s3.create_bucket(Bucket=BUCKET)
        try:
            yield
        finally:
            for one in self._s3.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
                self._s3.delete_object(Bucket=BUCKET, Key=one["Key"])
            self._s3.delete_bucket(Bucket=BUCKET)
            self._api.close()

    def idle(self) -> Done:
        """A client that does nothing with packages but ask for them."""
        return timed(*self._weir, "packages", "list", "--name", self._name)

    def round(self, number: int) -> dict[str, Done]:
        """Push and pull by each, in turns."""
        version = f"1.0.{number}"
        with self._source.open("wb") as file:
            for start in range(0, self._size, MIB):
                file.write(os.urandom(min(MIB, self._size - start)))
        push = (*self._weir, "packages", "push", self._source, "--name", self._name, "--version", version, "--no-wait")
        pull = (*self._weir, "packages", "pull", self._name, version, "--to", self._folder / version)
        up = (*self._aws, self._source, f"s3://{BUCKET}/source.bin")
        down = (*self._aws, f"s3://{BUCKET}/source.bin", self._back)
        done = self._in_turn(number, {"push": push, "aws s3 cp, up": up})
        self._available(version)
        done |= self._in_turn(number, {"pull": pull, "aws s3 cp, down": down})
        for one in (self._back, self._folder / version / "source.bin"):
            one.unlink()
        self._forget(version)
        return done

    def _in_turn(self, number: int, commands: dict[str, tuple[object, ...]]) -> dict[str, Done]:
        order = list(commands) if number % 2 else list(reversed(commands))
        return {name: timed(*commands[name]) for name in order}

    def _available(self, version: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (state := self._api.call("GET", f"/packages/{self._name}/{version}")["state"]) != "AVAILABLE":
            if state in {"QUARANTINED", "REJECTED"} or time.monotonic() > deadline:
                raise Failed(f"{self._name} {version} is {state}")
            time.sleep(0.5)

    def _forget(self, version: str) -> None:
        """Delete what was pushed: the local AWS keeps everything in memory."""
        try:
            self._api.call("DELETE", f"/packages/{self._name}/{version}")
        except ApiError as error:
            print(f"{self._name} {version} is left behind: {error}", file=sys.stderr)


def run(stack: Path, size: int, rounds: int, console: Console) -> dict[str, Any]:
    """All rounds, shown; what they came to. ``failed`` tells why there is nothing."""
    if not stack.exists():
        console.print(f"Packages were not measured: {stack} is missing, which `make up` writes.")
        return {"failed": f"{stack} is missing"}
    try:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(stack, Path(folder), size)
            with bench.bucket():
                idle = bench.idle()
                done = [bench.round(number) for number in range(rounds)]
    except (Failed, ApiError, Unreachable, TargetUnknown, BotoCoreError, ClientError) as error:
        console.print(f"Packages were not measured: {error}")
        return {"failed": str(error)}
    return show(size, idle, done, console)


def show(size: int, idle: Done, done: list[dict[str, Done]], console: Console) -> dict[str, Any]:
    """A table; the numbers behind it."""
    table = Table("command", "MB/s", "CPU s", "peak MiB", title=f"Packages, {size:,} bytes, {len(done)} rounds")
    for name in done[0]:
        rounds = [one[name] for one in done]
        rate = median(size / 1e6 / one.seconds for one in rounds)
        cpu, peak = median(one.cpu_seconds for one in rounds), max(one.peak_mib for one in rounds)
        table.add_row(name, f"{rate:,.1f}", f"{cpu:.2f}", f"{peak:.1f}")
    table.add_row("weir, idle", "", f"{idle.cpu_seconds:.2f}", f"{idle.peak_mib:.1f}")
    console.print(table)
    ratio: Callable[[str, str], float] = lambda ours, theirs: median(  # noqa: E731
        one[theirs].seconds / one[ours].seconds for one in done
    )
    ratios = {"push": ratio("push", "aws s3 cp, up"), "pull": ratio("pull", "aws s3 cp, down")}
    above = {name: max(one[name].peak_mib for one in done) - idle.peak_mib for name in ratios}
    for name, found in ratios.items():
        met = "met" if found >= AIM else "MISSED"
        console.print(f"  {name} : aws s3 cp = {found:.2f}, aim {AIM} {met}")
        met = "met" if above[name] <= MOST_MIB else "MISSED"
        console.print(f"  {name}: {above[name]:.1f} MiB above an idle client, at most {MOST_MIB} {met}")
    seconds = [{name: one.seconds for name, one in each.items()} for each in done]
    return {"bytes": size, "ratios": ratios, "mib_above_idle": above, "seconds": seconds}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bytes", type=int, default=GIB, help="size of the file (1 GiB)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stack", type=Path, default=STACK_FILE, help="what `make up` wrote")
    asked = parser.parse_args()
    found = run(asked.stack, asked.bytes, asked.rounds, Console(width=120))
    print(json.dumps(found))
    if "failed" in found:
        sys.exit(found["failed"])


if __name__ == "__main__":
    main()

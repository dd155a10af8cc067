"""``make bench``: measures Weir beside its peers, prints ratios, and writes ``.local/bench.json``.

Every measurement is a process of its own; the cases of a section take turns, round after round, so that a machine that
slows down slows them all; a ratio is the median of the rounds' ratios. Records per core-second are records by the
client's own CPU time, user and system: what a Lambda is billed for. Wall time is told beside it, and depends on the
stub's share of the machine.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from client.target import STACK_FILE
from tests.benchmarks import gateway, packages
from tests.benchmarks.insert_peers import PEERS
from tests.contract import stack

REPOSITORY = Path(__file__).resolve().parents[2]
LAYER = REPOSITORY / "layers/weir/python"
OUTPUT = REPOSITORY / ".local/bench.json"
SIZES = (100, 200, 1024)
SECTIONS = ("insert", "verify", "start", "identity", "plan", "hash", "packages", "findings", "analyses", "gateway")
# Enough for a second or so of CPU each; the slow ones would take minutes for as many as the fast ones.
RECORDS = {"async-kinesis": 20_000, "aiokpl": 10_000, "aiokpl, not aggregated": 10_000}
FAST_RECORDS = 200_000

# (ours, theirs, the least ratio that is aimed at)
AIMS = (
    ("weir", "boto3 loop, unchecked", 0.9),
    ("weir", "async-kinesis", 3.0),
    ("weir", "aiokpl", 3.0),
    ("weir", "aiokpl, not aggregated", 3.0),
    ("weir, aggregated", "aws-kinesis-agg + boto3", 2.0),
)
VERIFY_BESIDE = ("weir", "weir, one thread")
VERIFY_RECORDS, VERIFY_SIZE, VERIFY_KEYS, VERIFY_MIB = 1_000_000, 200, 10_000, 64
START_MOST, MOST_OF = 1.5, {"health": 1.1, "authorizer": 1.2}
HASH_LEAST, HASH_BYTES = 0.8, 1024**3
FINDINGS_LEAST, DETECTOR_US, FINDINGS_STREAMS = 1_000_000, 50, 20
WAYS_TO_READ = {"together": "weir", "one-by-one": "a loop over weir's client", "boto3": "a loop over boto3"}
BOTO3_START = "import boto3; boto3.client('kinesis')"

console = Console(width=120)


def environment() -> dict[str, str]:
    """The subprocesses': the layer importable, credentials that nobody checks, no settings of the caller's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "WEIR_", "PYTHON"))}
    return kept | {
        "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(LAYER))),
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def stub(module: str = "stub") -> Iterator[str]:
    """A stub's URL, while it serves."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(), cwd=REPOSITORY
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.stdin.close()


def measure(module: str, *arguments: object, **variables: str) -> dict[str, Any]:
    """The JSON line that a case prints, or {"failed": why}; with more variables in its environment."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *map(str, arguments)]
    environ = environment() | variables
    finished = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=environ, cwd=REPOSITORY, check=False
    )
    if finished.returncode:
        return {"failed": (finished.stderr.strip().splitlines() or ["no message"])[-1]}
    result: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return result


def rates(results: list[dict[str, Any]]) -> list[float]:
    """Records per core-second of each round."""
    return [result["sent"] / result["cpu_seconds"] for result in results if "failed" not in result]


def insert(endpoint: str, rounds: int, scale: float) -> dict[str, Any]:
    """Records inserted per core-second, by size and peer, and the ratios."""
    section: dict[str, Any] = {}
    for size in SIZES:
        results: dict[str, list[dict[str, Any]]] = {peer: [] for peer in PEERS}
        for _ in range(rounds):
            for peer, done in results.items():
                count = int(RECORDS.get(peer, FAST_RECORDS) * scale)
                done.append(measure("insert_peers", peer, endpoint, count, size))
        section[str(size)] = {"peers": results, "ratios": insert_ratios(results)}
        show_insert(size, section[str(size)])
    return section


def insert_ratios(results: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Ours by theirs, round by round; None where a peer did not run."""
    ratios = []
    for ours, theirs, aim in AIMS:
        pairs = list(zip(rates(results[ours]), rates(results[theirs]), strict=False))
        ratio = median(mine / other for mine, other in pairs) if pairs else None
        ratios.append({"ours": ours, "theirs": theirs, "ratio": ratio, "aim": aim})
    return ratios


def show_insert(size: int, section: dict[str, Any]) -> None:
    table = Table("producer", "records / core-s", "records / s", "confirmed", title=f"Inserting, {size} bytes a record")
    for peer, results in section["peers"].items():
        ran = [result for result in results if "failed" not in result]
        if not ran:
            table.add_row(peer, f"did not run: {results[0]['failed']}", "", "")
            continue
        confirmed = {result["confirmed"] == result["sent"] for result in ran if result["confirmed"] is not None}
        told = {frozenset(): "not looked at", frozenset({True}): "every one"}.get(frozenset(confirmed), "NOT ALL")
        per_wall = median(result["sent"] / result["wall_seconds"] for result in ran)
        table.add_row(peer, f"{median(rates(ran)):,.0f}", f"{per_wall:,.0f}", told)
    console.print(table)
    show_ratios(section["ratios"])


def show_ratios(ratios: list[dict[str, Any]]) -> None:
    for row in ratios:
        told = "not measured" if row["ratio"] is None else f"{row['ratio']:.2f}"
        met = row["ratio"] is not None and row["ratio"] >= row["aim"]
        console.print(f"  {row['ours']} : {row['theirs']} = {told}, aim {row['aim']} {'met' if met else 'MISSED'}")


def verify(endpoint: str, rounds: int, scale: float) -> dict[str, Any]:
    """Verifying beside inserting records of the same size, and the memory of a million records over 10^4 keys."""
    count = int(VERIFY_RECORDS * scale)
    verified: list[dict[str, Any]] = []
    inserted: dict[str, list[dict[str, Any]]] = {peer: [] for peer in VERIFY_BESIDE}
    for _ in range(rounds):
        verified.append(measure("verify_case", endpoint, count, VERIFY_SIZE, VERIFY_KEYS))
        for peer, done in inserted.items():
            done.append(measure("insert_peers", peer, endpoint, int(FAST_RECORDS * scale), VERIFY_SIZE))
    broken = [result["failed"] for result in chain(verified, *inserted.values()) if "failed" in result]
    if broken:
        console.print(f"Verifying did not run: {broken[0]}")
        return {"failed": broken[0]}
    read_rates = [result["records"] / result["cpu_seconds"] for result in verified]
    ratios = {
        peer: median(read / put for read, put in zip(read_rates, rates(done), strict=True))
        for peer, done in inserted.items()
    }
    memory = median(result["mib_above_bare_process"] for result in verified)
    working = median(result["mib_above_loaded_process"] for result in verified)
    every_one = all(result["verified"] == result["records"] and not result["damaged"] for result in verified)
    table = Table(
        "what", "measured", "aim", title=f"Verifying {count:,} records of {VERIFY_SIZE} bytes, {VERIFY_KEYS:,} keys"
    )
    table.add_row("read and verified, records / core-s", f"{median(read_rates):,.0f}", "")
    only = median(result["records"] / result["verify_cpu_seconds"] for result in verified)
    table.add_row("the verifier alone, records / core-s", f"{only:,.0f}", "")
    for peer, ratio in ratios.items():
        table.add_row(f"read and verified : inserted by {peer}", f"{ratio:.2f}", ">= 1")
    table.add_row("peak memory above a bare interpreter", f"{memory:.1f} MiB", f"<= {VERIFY_MIB} MiB")
    table.add_row("peak memory above the loaded process", f"{working:.1f} MiB", "")
    table.add_row("every record accounted for", "yes" if every_one else "NO", "yes")
    console.print(table)
    return {
        "records": count,
        "ratios_to_insert": ratios,
        "mib_above_bare_process": memory,
        "mib_above_loaded_process": working,
        "every_one": every_one,
        "rounds": verified,
    }


def start_seconds(code: str, folder: Path | None) -> float:
    """Wall seconds of a Python process that runs ``code`` and ends."""
    environ = environment()
    if folder is not None:
        environ["PYTHONPATH"] = os.pathsep.join((str(folder), str(LAYER)))
        needed = (
            *("RUNS_TABLE", "RUNS_BUCKET", "SETTLE_QUEUE_URL", "RUN_MACHINE_ARN", "CLEANUP_MACHINE_ARN"),
            *("IDENTITY_TABLE", "SIGNING_SECRET_ARN", "KEY_PEPPER_SECRET_ARN", "ADMIN_SECRET_ARN"),
            *("PROVIDERS_SECRET_ARN", "TOKEN_ISSUER", "CURSOR_SECRET_ARN", "IDEMPOTENCY_TABLE"),
            *("PACKAGES_TABLE", "PACKAGES_BUCKET", "SCAN_QUEUE_URL", "IMPORT_MACHINE_ARN", "USAGE_TABLE", "LLM_TABLE"),
            *("ANALYSES_TABLE", "ANALYSES_BUCKET", "ANALYSIS_MACHINE_ARN"),
        )
        environ |= {f"WEIR_{name}": "bench" for name in needed}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environ, cwd=folder or REPOSITORY)
    return time.perf_counter() - began


def start(rounds: int) -> dict[str, Any]:
    """Process start of each handler, beside a process that makes a Kinesis client."""
    folders = sorted(path.parent for path in (REPOSITORY / "functions").glob("*/handler.py"))
    cases: dict[str, tuple[str, Path | None]] = {folder.name: ("import handler", folder) for folder in folders}
    # Every request waits for the authorizer: what it loads only for a first token is part of its start.
    gate = REPOSITORY / "functions" / "authorizer"
    cases[gate.name] = ("import handler; from weir.identity import tokens", gate)
    reference = "boto3.client('kinesis')"
    cases = {reference: (BOTO3_START, None), **cases}
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    failed: dict[str, str] = {}
    for turn in range(rounds + 1):  # the first writes byte code and fills the disk cache
        for name, (code, folder) in cases.items():
            try:
                taken = start_seconds(code, folder)
            except subprocess.CalledProcessError as error:
                failed[name] = error.stderr.decode().strip().splitlines()[-1]
                continue
            if turn:
                seconds[name].append(taken)
    return show_start(seconds, failed, reference)


def show_start(seconds: dict[str, list[float]], failed: dict[str, str], reference: str) -> dict[str, Any]:
    table = Table("process", "ms", "ratio", "aim", title="Process start, median")
    ratios: dict[str, float] = {}
    for name, taken in seconds.items():
        if name in failed:
            table.add_row(name, f"did not start: {failed[name]}", "", "")
            continue
        ratios[name] = median(one / base for one, base in zip(taken, seconds[reference], strict=True))
        most = MOST_OF.get(name, START_MOST)
        aim = "" if name == reference else f"<= {most} {'met' if ratios[name] <= most else 'MISSED'}"
        table.add_row(name, f"{median(taken) * 1000:.0f}", f"{ratios[name]:.2f}", aim)
    console.print(table)
    return {"seconds": seconds, "ratios": ratios, "failed": failed}


def identity(rounds: int) -> dict[str, Any]:
    """A warm authorizer's decisions, and the hash of a password beside the memory of the function that makes it."""
    turns = [(measure("identity_case", "decisions"), measure("identity_case", "argon2")) for _ in range(rounds)]
    broken = [case["failed"] for turn in turns for case in turn if "failed" in case]
    if broken:
        console.print(f"Letting in did not run: {broken[0]}")
        return {"failed": broken[0]}
    table = Table("decision", "table reads", "table writes", "CPU ms", title="A warm authorizer's decision, median")
    decided: dict[str, dict[str, float]] = {
        name: {part: median(turn[name][part] for turn, _ in turns) for part in parts}
        for name, parts in turns[0][0].items()
    }
    for name, one in decided.items():
        table.add_row(name, f"{one['reads']:.2f}", f"{one['writes']:.2f}", f"{one['cpu_ms']:.3f}")
    console.print(table)
    hashing = {part: median(case[part] for _, case in turns) for part in turns[0][1]}
    memory = stack.functions()["AuthFunction"]["MemorySize"]
    console.print(
        f"  argon2id: {hashing['cpu_ms']:.0f} ms of a core and {hashing['mib']:.0f} MiB a hash; "
        f"the function that logs people in has {memory} MB, which brings {memory / 1769:.2f} of a core"
    )
    return {"decisions": decided, "argon2": hashing, "memory_mb": memory}


def plan() -> dict[str, Any]:
    """Planned runs, none of them run."""
    planned = measure("planned")
    if "failed" in planned:
        console.print(f"Planning did not run: {planned['failed']}")
        return planned
    rows = planned["rows"]
    table = Table(*rows[0], title=f"Planned runs over {planned['shards']} shards (nothing is run)")
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()))
    console.print(table)
    return planned


def hashing(rounds: int, size: int) -> dict[str, Any]:
    """Bytes that the scan hashes in a second of CPU, beside sha256sum of the same file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "file"
        with file.open("wb") as written:
            for _ in range(size // 2**20):
                written.write(os.urandom(2**20))
        commands = {"weir": (sys.executable, "-m", "tests.benchmarks.hash_case"), "sha256sum": ("sha256sum",)}
        turns = [{name: measure("timed", *one, file) for name, one in commands.items()} for _ in range(rounds)]
    broken = [one["failed"] for turn in turns for one in turn.values() if "failed" in one]
    if broken:
        console.print(f"Hashing did not run: {broken[0]}")
        return {"failed": broken[0]}
    rates = {name: median(size / turn[name]["cpu_seconds"] / 1e6 for turn in turns) for name in commands}
    ratio = median(turn["sha256sum"]["cpu_seconds"] / turn["weir"]["cpu_seconds"] for turn in turns)
    console.print(
        f"Hashed {size / 2**30:.1f} GiB, MB a CPU second: "
        f"weir {rates['weir']:,.0f}, sha256sum {rates['sha256sum']:,.0f}; "
        f"weir : sha256sum {ratio:.2f} (at least {HASH_LEAST})"
    )
    return {"mb_per_cpu_second": rates, "ratio": ratio, "aim": HASH_LEAST}


def findings(rounds: int, streams: int) -> dict[str, Any]:
    """Points that the workflows of an analysis take in a second of CPU, and what the anomaly detector takes for one."""
    turns = [measure("findings_case", streams) for _ in range(rounds)]
    broken = [turn["failed"] for turn in turns if "failed" in turn]
    if broken:
        console.print(f"Findings did not run: {broken[0]}")
        return {"failed": broken[0]}
    rate = median(turn["points"] / turn["cpu_seconds"] for turn in turns)
    each = median(turn["detector_cpu_seconds"] / turn["judged_points"] * 1e6 for turn in turns)
    first = turns[0]
    console.print(
        f"{first['findings']} findings of {first['points']:,} points of {streams} streams: "
        f"{rate:,.0f} points a CPU second (at least {FINDINGS_LEAST:,}); "
        f"anomalies: {each:.1f} us of CPU a point (at most {DETECTOR_US})"
    )
    return {"points_per_cpu_second": rate, "detector_us_a_point": each, "aim": FINDINGS_LEAST, "rounds": turns}


def analyses(rounds: int, streams: int) -> dict[str, Any]:
    """What reading the metrics of many streams takes as an analysis reads them, beside a query in each call."""
    with stub("cloudwatch_stub") as endpoint:
        turns = [
            {how: measure("analyses_case", how, streams, AWS_ENDPOINT_URL=endpoint) for how in WAYS_TO_READ}
            for _ in range(rounds)
        ]
    broken = [case["failed"] for turn in turns for case in turn.values() if "failed" in case]
    if broken:
        console.print(f"Reading metrics did not run: {broken[0]}")
        return {"failed": broken[0]}
    title = f"{turns[0]['together']['points']:,} points of {streams} streams, 20 ms a round trip"
    table = Table("read by", "AWS calls", "s", "CPU s", "every point", title=title)
    for how, name in WAYS_TO_READ.items():
        wall, cpu = (median(turn[how][part] for turn in turns) for part in ("wall_seconds", "cpu_seconds"))
        every = "yes" if all(turn[how]["whole"] for turn in turns) else "NO"
        table.add_row(name, f"{turns[0][how]['calls']:,}", f"{wall:.2f}", f"{cpu:.2f}", every)
    console.print(table)
    ratios = {
        how: median(turn[how]["wall_seconds"] / turn["together"]["wall_seconds"] for turn in turns)
        for how in WAYS_TO_READ
    }
    console.print(
        f"  {ratios['one-by-one']:.1f} times as fast as a loop over the same client, {ratios['boto3']:.1f} boto3"
    )
    return {"ratios": ratios, "rounds": turns}


def versions() -> dict[str, str]:
    """What was measured, and on what."""
    packages = ("boto3", "botocore", "async-kinesis", "aiokpl", "aws-kinesis-agg", "aiohttp", "uvicorn", "starlette")
    return {
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        **{name: version(name) for name in packages},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one short round: to see that it runs, not to be quoted")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=SECTIONS, action="append", help="a section; all unless given")
    asked = parser.parse_args()
    sections = asked.only or SECTIONS
    rounds, scale = (1, 0.1) if asked.quick else (asked.rounds, 1.0)
    result: dict[str, Any] = {"quick": asked.quick, "rounds": rounds, "versions": versions()}
    console.print(" ".join(f"{name} {number}" for name, number in result["versions"].items()))
    with stub() as endpoint:
        if "insert" in sections:
            result["insert"] = insert(endpoint, rounds, scale)
        if "verify" in sections:
            result["verify"] = verify(endpoint, rounds, scale)
    if "start" in sections:
        result["start"] = start(3 if asked.quick else 2 * rounds + 1)
    if "identity" in sections:
        result["identity"] = identity(rounds)
    if "plan" in sections:
        result["plan"] = plan()
    if "hash" in sections:
        result["hash"] = hashing(rounds, int(HASH_BYTES * scale))
    if "packages" in sections:
        result["packages"] = packages.run(STACK_FILE, int(packages.GIB * scale), rounds, console)
    if "findings" in sections:
        result["findings"] = findings(rounds, max(1, int(FINDINGS_STREAMS * scale)))
    if "analyses" in sections:
        result["analyses"] = analyses(rounds, max(1, int(FINDINGS_STREAMS * scale)))
    if "gateway" in sections:
        result["gateway"] = gateway.run(rounds, scale, environment(), measure, console)
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(result, indent=2) + "\n")
    console.print(f"written to {OUTPUT.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()

"""Weir's gateway beside LiteLLM's proxy and a bare pass-through: the same upstream, the same load, one run.

In each round every process is new, and every case is put to the contenders in turn, first to the upstream itself: what
the others add to that is compared. ``gateway_tables`` stands for AWS, ``gateway_upstream`` for the providers.
"""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from itertools import chain, product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.gateway_servers import (
    REPOSITORY,
    Contender,
    NotReady,
    bare,
    counts,
    cpu_seconds,
    litellm,
    paths,
    stub,
    weir,
)

FORMATS, KINDS = ("anthropic", "openai"), ("whole", "stream")
REQUESTS = {1: 300, 16: 1_200}
"""In all, by how many callers ask at once."""

WARM_UP = 64
CLIENT = "import botocore.session; botocore.session.get_session().create_client('dynamodb')"
LATENCY_MOST = {"litellm": 0.2, "bare": 2.0}
RATE_LEAST = {"litellm": 5.0, "bare": 0.5}
FIRST_MOST_MS, START_MOST, UNITS_MOST = 1.0, 1.3, 3.0

Result = dict[str, Any]
Measure = Callable[..., Result]
Round = dict[str, dict[str, Result]]
"""What was measured, by case and contender."""


def run(rounds: int, scale: float, environ: dict[str, str], measure: Measure, console: Console) -> Result:
    """All of it. ``measure`` runs a module of the benchmarks as a process, and answers what it prints."""
    done: list[Round] = []
    units: dict[int, list[float]] = {at_once: [] for at_once in REQUESTS}
    missing: dict[str, str] = {}
    for _ in range(rounds):
        took, per_request = one_round(scale, environ, measure, missing)
        done.append(took)
        for at_once, one in per_request.items():
            units[at_once].append(one)
    cases = {case: summed([one[case] for one in done]) for case in done[0]}
    started = starts(2 * rounds + 1, environ)
    show(cases, missing, {at_once: median(one) for at_once, one in units.items()}, started, console)
    return {"cases": cases, "missing": missing, "write_units": units, "start": started, "rounds": done}


def one_round(
    scale: float, environ: dict[str, str], measure: Measure, missing: dict[str, str]
) -> tuple[Round, dict[int, float]]:
    """Each case put to each contender in turn, and the write units of a request to Weir's by how many are at once."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        (port,) = stack.enter_context(stub("gateway_upstream", environ=environ))
        upstream = f"http://127.0.0.1:{port}"
        key, tables = stack.enter_context(stub("gateway_tables", upstream, environ=environ, lines=2))
        contenders = {
            "upstream": Contender(paths(upstream)),
            "bare": stack.enter_context(bare(upstream, environ=environ, folder=folder)),
            "weir": stack.enter_context(weir(int(tables), key, environ=environ, folder=folder)),
        }
        try:
            contenders["litellm"] = stack.enter_context(litellm(upstream, environ=environ, folder=folder))
        except (NotReady, OSError) as error:
            missing["litellm"] = str(error)
        took: Round = {}
        written: Counter[int] = Counter()
        asked: Counter[int] = Counter()
        for dialect, kind in product(FORMATS, KINDS):
            for one in contenders.values():
                measure("gateway_load", one.urls[dialect], one.key, dialect, kind, 4, WARM_UP)
            for at_once, requests in REQUESTS.items():
                before = counts(int(tables))["write_units"]
                took[f"{dialect}, {kind}, {at_once} at once"] = {
                    name: under_load(one, dialect, kind, at_once, int(requests * scale), measure)
                    for name, one in contenders.items()
                }
                written[at_once] += counts(int(tables))["write_units"] - before
                asked[at_once] += int(requests * scale)
    return took, {at_once: written[at_once] / asked[at_once] for at_once in REQUESTS}


def under_load(
    one: Contender, dialect: str, kind: str, at_once: int, requests: int, measure: Measure
) -> dict[str, Any]:
    """A contender's latencies, and the requests that it takes in a second of CPU."""
    before = cpu_seconds(one.pid) if one.pid is not None else 0.0
    result = measure("gateway_load", one.urls[dialect], one.key, dialect, kind, at_once, requests)
    if "failed" not in result and one.pid is not None:
        result["per_cpu_second"] = result["requests"] / (cpu_seconds(one.pid) - before)
    return result


def summed(rounds: list[dict[str, Result]]) -> dict[str, Result]:
    """A case by contender: milliseconds added to the upstream's, and how Weir's compare; medians of the rounds."""
    told: dict[str, Result] = {}
    for name in rounds[0]:
        pairs = [(one[name], one["upstream"]) for one in rounds if "failed" not in one[name]]
        if name == "upstream" or not pairs:
            continue
        told[name] = {
            "wrong": sum(own["wrong"] for own, _ in pairs),
            "per_cpu_second": median(own["per_cpu_second"] for own, _ in pairs),
            **{
                f"{what}_ms": median((own[what] - base[what]) * 1000 for own, base in pairs)
                for what in ("whole_p50", "whole_p99", "first_p50", "first_p99")
            },
        }
    for other in LATENCY_MOST:
        both = [one for one in rounds if "failed" not in one.get(other, {"failed": ""})]
        if both:
            told["weir"][other] = {
                "latency_p50": _latency(both, other, "p50"),
                "latency_p99": _latency(both, other, "p99"),
                "rate": median(one["weir"]["per_cpu_second"] / one[other]["per_cpu_second"] for one in both),
            }
    return told


def _latency(rounds: list[dict[str, Result]], other: str, what: str) -> float | None:
    """What Weir adds by what another adds; None where a round shows no addition: then it is below the noise."""
    added = [
        [one[name][f"whole_{what}"] - one["upstream"][f"whole_{what}"] for name in ("weir", other)] for one in rounds
    ]
    return None if min(chain(*added)) <= 0 else median(ours / theirs for ours, theirs in added)


def starts(rounds: int, environ: dict[str, str]) -> Result:
    """Seconds until the gateway listens, its clients made, beside a process that makes a DynamoDB client and ends."""
    seconds: dict[str, list[float]] = {"weir": [], "client": []}
    with TemporaryDirectory() as folder:
        for turn in range(rounds + 1):  # the first fills the disk cache
            began = time.perf_counter()
            with weir(1, "", environ=environ, folder=Path(folder)):
                ours = time.perf_counter() - began
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", CLIENT], check=True, env=environ, cwd=REPOSITORY)
            theirs = time.perf_counter() - began
            if turn:
                seconds["weir"].append(ours)
                seconds["client"].append(theirs)
    ratio = median(ours / theirs for ours, theirs in zip(seconds["weir"], seconds["client"], strict=True))
    return {"seconds": seconds, "ratio": ratio, "aim": START_MOST}


def show(
    cases: Mapping[str, dict[str, Result]],
    missing: Mapping[str, str],
    units: Mapping[int, float],
    started: Result,
    console: Console,
) -> None:
    """Print the figures beside the aims."""
    columns = ("case", "gateway", "p50 ms", "p99 ms", "first p50", "first p99", "requests / CPU-s", "wrong")
    table = Table(*columns, title="Gateways: milliseconds added to the upstream's")
    for case, told in cases.items():
        for name, one in told.items():
            added = (f"{one[f'{what}_ms']:.2f}" for what in ("whole_p50", "whole_p99", "first_p50", "first_p99"))
            table.add_row(case, name, *added, f"{one['per_cpu_second']:,.0f}", str(one["wrong"]))
            case = ""
    console.print(table)
    for name, why in missing.items():
        console.print(f"{name} did not run: {why}")
    for other in LATENCY_MOST:
        show_beside(other, cases, console)
    table = Table("what", "measured", "aim", title="Weir's gateway")
    for case, told in cases.items():
        if "stream" in case:
            table.add_row(f"first token, {case}", *_held(told["weir"]["first_p50_ms"], FIRST_MOST_MS, " ms added"))
    for at_once, per_request in units.items():
        held = _held(per_request, UNITS_MOST, digits=4)  # a mark of an hour is one of thousands
        table.add_row(f"write units a request, {at_once} of a user at once", *held)
    table.add_row("start : botocore with a DynamoDB client", *_held(started["ratio"], START_MOST))
    console.print(table)


def show_beside(other: str, cases: Mapping[str, dict[str, Result]], console: Console) -> None:
    """Print Weir's figures by another's."""
    columns = ("case", "added p50", "aim", "added p99", "aim", "requests / CPU-s", "aim")
    table = Table(*columns, title=f"Weir : {other}")
    for case, told in cases.items():
        if other in told["weir"]:
            ratio = told["weir"][other]
            p50, p99 = (_held(ratio[f"latency_{what}"], LATENCY_MOST[other]) for what in ("p50", "p99"))
            is_met = ratio["rate"] >= RATE_LEAST[other]
            rate = (f"{ratio['rate']:.2f}", f">= {RATE_LEAST[other]} {'met' if is_met else 'MISSED'}")
            table.add_row(case, *p50, *p99, *rate)
    console.print(table)


def _held(measured: float | None, most: float, unit: str = "", digits: int = 2) -> tuple[str, str]:
    if measured is None:
        return "below the noise", f"<= {most}"
    return f"{measured:.{digits}f}{unit}", f"<= {most} {'met' if measured <= most else 'MISSED'}"

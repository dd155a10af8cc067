"""A run spec from a file or from options: always one that the API understands."""

import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from client import exits, weir
from client.api import Api
from client.target import Target
from tests.unit.client.answers import ok
from weir.runs.models import RunSpec


def spec(*arguments: str) -> dict[str, Any]:
    """The spec that the API is asked to plan."""
    asked: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.read()))
        return ok({"planned": True})

    def connect(target: Target) -> Api:
        return Api(target, transport=httpx.MockTransport(answer))

    given = ["--url", "http://127.0.0.1:1/v1", "run", *arguments, "--dry-run", "--json"]
    assert weir.main(given, Console(file=io.StringIO()), connect) == exits.PASSED
    return asked[0]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests speak with an API key."""
    monkeypatch.setenv("WEIR_API_KEY", "weir_ann2ann3ann4ann5_k1_secret")


def test_options_make_a_spec_that_the_api_takes() -> None:
    # Given every option that generates a load
    words = (
        "--records 5000 --bytes 512 --rate 100.5 --keys 20 --skew zipf --workers 2 --aggregated "
        "--shards 2 --keep --ordered --p99-ms 900 --min-rate 50 --max-cost 0.25"
    )

    # When they are read as the API reads them
    read = RunSpec.model_validate(spec(*words.split()))

    # Then each has arrived
    assert (read.load.records, read.load.bytes, read.load.rate, read.load.workers) == (5000, 512, 100.5, 2)
    assert (read.load.keys.count, read.load.keys.distribution, read.load.aggregated) == (20, "zipf", True)
    assert (read.stream.shards, read.keep, str(read.max_cost)) == (2, True, "0.25")
    assert (read.slo.ordered, read.slo.p99_latency_ms, read.slo.min_records_per_second) == (True, 900, 50)


def test_what_is_left_out_is_left_to_the_api() -> None:
    assert spec("--records", "5") == {"stream": {"mode": "PROVISIONED"}, "load": {"records": 5}, "slo": {}}
    assert RunSpec.model_validate(spec("--records", "5", "--on-demand")).stream.mode == "ON_DEMAND"


def test_a_spec_file_is_sent_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = {"load": {"records": 5}, "unknown": True}
    (tmp_path / "spec.json").write_text(json.dumps(document))
    assert spec(str(tmp_path / "spec.json")) == document
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(document)))
    assert spec("-") == document


@pytest.mark.parametrize("text", ["{", "[]", "null"])
def test_a_spec_file_that_is_none_is_refused(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spec.json").write_text(text)
    assert refused(str(tmp_path / "spec.json"))
    assert "spec.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Say what to insert"),
        (["--records", "5", "--file", "x"], "Say what to insert"),
        (["spec.json", "--records", "5"], "not both"),
        (["missing.json"], "can't be read"),
    ],
)
def test_what_is_no_single_load_is_refused(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(*arguments)
    assert told in capsys.readouterr().err


def refused(*arguments: str) -> bool:
    """Whether the command line itself refuses a spec, and nothing is sent."""
    return weir.main(["--url", "http://127.0.0.1:1/v1", "run", *arguments]) == exits.FAILED

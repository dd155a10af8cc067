"""A run spec from a file or from options: always one that the API understands."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from client.spec import SpecUnusable, spec_from
from client.weir import parser
from weir.runs.models import RunSpec


def spec(*arguments: str) -> dict[str, Any]:
    return spec_from(parser().parse_args(["run", *arguments]))


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
def test_a_spec_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "spec.json").write_text(text)
    with pytest.raises(SpecUnusable, match=r"spec\.json"):
        spec(str(tmp_path / "spec.json"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Say what to insert"),
        (["--records", "5", "--file", "x"], "Say what to insert"),
        (["spec.json", "--records", "5"], "not both"),
        (["missing.json"], "can't be read"),
    ],
)
def test_what_is_no_single_load_is_refused(arguments: list[str], told: str) -> None:
    with pytest.raises(SpecUnusable, match=told):
        spec(*arguments)

"""The run spec: what it refuses, and that it reaches the state machine as it was given."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from weir.runs.models import MAX_INLINE_BYTES, RUN_ID, RunSpec, spec_json

LOAD = {"records": 10}


def refused(document: dict[str, Any]) -> tuple[str, str]:
    """Field and message of the first error that a document meets."""
    with pytest.raises(ValidationError) as caught:
        RunSpec.model_validate_json(json.dumps(document))
    error, *_ = caught.value.errors()
    return ".".join(map(str, error["loc"])), error["msg"]


def test_the_least_spec_has_the_documented_defaults() -> None:
    spec = RunSpec.model_validate_json('{"load": {"records": 10}}')
    assert (spec.stream.mode, spec.stream.shard_count) == ("PROVISIONED", 1)
    assert (spec.slo.max_lost, spec.slo.max_duplicates, spec.slo.ordered) == (0, None, False)
    assert (spec.expires_in, spec.max_cost, spec.keep) == (3600, Decimal("1.00"), False)
    assert spec.analyses == {"run", "cloudwatch"}


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "load"),
        ({"load": LOAD, "surprise": 1}, "surprise"),
        ({"load": {"records": 0}}, "load.records"),
        ({"load": {"records": 10**12 + 1}}, "load.records"),
        ({"load": {"records": 1.5}}, "load.records"),
        ({"load": {"records": 1, "bytes": 35}}, "load.bytes"),
        ({"load": {"records": 1, "bytes": 1_000_001}}, "load.bytes"),
        ({"load": {"records": 1, "rate": 0}}, "load.rate"),
        ({"load": {"records": 1, "rate": 1e-300}}, "load.rate"),
        ({"load": {"records": 1, "rate": 10**7 + 1}}, "load.rate"),
        ({"load": {"records": 1, "workers": 0}}, "load.workers"),
        ({"load": {"records": 1, "workers": 1001}}, "load.workers"),
        ({"load": {"records": 1, "keys": {"count": 0}}}, "load.keys.count"),
        ({"load": {"records": 1, "keys": {"distribution": "normal"}}}, "load.keys.distribution"),
        ({"load": {"records": 1, "keys": {"exponent": 0}}}, "load.keys.exponent"),
        ({"load": {"source": {"type": "inline", "lines": []}}}, "load.source.lines"),
        ({"load": {"source": {"type": "inline", "lines": [""]}}}, "load.source.lines.0"),
        ({"load": {"source": {"type": "ftp"}}}, "load.source"),
        ({"load": {"source": {"type": "s3", "key": "runs/other/report.json"}}}, "load.source.key"),
        ({"load": {"source": {"type": "s3", "key": "sources/../runs"}}}, "load.source.key"),
        ({"load": {"source": {"type": "s3", "key": "sources/a\n"}}}, "load.source.key"),
        ({"load": LOAD, "stream": {"mode": "SERVERLESS"}}, "stream.mode"),
        ({"load": LOAD, "stream": {"shards": 0}}, "stream.shards"),
        ({"load": LOAD, "stream": {"shards": 10_001}}, "stream.shards"),
        ({"load": LOAD, "slo": {"max_lost": -1}}, "slo.max_lost"),
        ({"load": LOAD, "slo": {"max_duplicates": -1}}, "slo.max_duplicates"),
        ({"load": LOAD, "slo": {"p99_latency_ms": 0}}, "slo.p99_latency_ms"),
        ({"load": LOAD, "slo": {"min_records_per_second": 0}}, "slo.min_records_per_second"),
        ({"load": LOAD, "analyses": ["run", "tarot"]}, "analyses.1"),
        ({"load": LOAD, "expires_in": 299}, "expires_in"),
        ({"load": LOAD, "expires_in": 86_401}, "expires_in"),
        ({"load": LOAD, "max_cost": 0}, "max_cost"),
        ({"load": LOAD, "max_cost": "10000.01"}, "max_cost"),
        ({"load": LOAD, "keep": "sometimes"}, "keep"),
    ],
)
def test_a_wrong_field_is_named(document: dict[str, Any], field: str) -> None:
    assert refused(document)[0] == field


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("field", ["p99_latency_ms", "min_records_per_second"])
def test_numbers_are_finite(field: str, number: str) -> None:
    # Given what JSON has no number for, but pydantic would read
    with pytest.raises(ValidationError):
        RunSpec.model_validate_json(f'{{"load": {{"records": 1}}, "slo": {{"{field}": {number}}}}}')


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"load": {}}, "either records"),
        ({"load": {"records": 1, "source": {"type": "inline", "lines": ["a"]}}}, "either records"),
        ({"load": LOAD, "stream": {"mode": "ON_DEMAND", "shards": 2}}, "leave shards out"),
        ({"load": {"records": 1, "burst": {"every_seconds": 2, "length_seconds": 1, "factor": 2}}}, "give rate too"),
        (
            {"load": {"records": 1, "rate": 1, "burst": {"every_seconds": 1, "length_seconds": 2, "factor": 2}}},
            "can't be longer",
        ),
    ],
)
def test_fields_that_do_not_go_together_are_refused_with_the_way_out(document: dict[str, Any], told: str) -> None:
    assert told in refused(document)[1]


@pytest.mark.parametrize("character", ["a", "ä", '"', "\x01", "😀"])
def test_inline_lines_are_bounded_by_what_travels(character: str) -> None:
    # Given lines that just fit, and one character more, in a script that JSON escapes or does not
    size = len(json.dumps(character)) - 2
    line = character * ((MAX_INLINE_BYTES - 4) // size)
    document = {"load": {"source": {"type": "inline", "lines": [line]}}}
    # When read / Then the spec that travels is below Step Functions' 256 KiB, and what is larger is told to upload
    spec = RunSpec.model_validate_json(json.dumps(document))
    assert len(json.dumps(spec_json(spec)).encode()) < 256 * 1024 - 2_000
    document["load"]["source"]["lines"] = [line + character]
    assert "upload" in refused(document)[1]


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Any spec that is accepted, as somebody might write it."""
    load: dict[str, Any] = {}
    match draw(st.sampled_from(["generated", "inline", "s3"])):
        case "generated":
            load = {"records": draw(st.integers(1, 10**12)), "bytes": draw(st.integers(36, 1_000_000))}
        case "inline":
            load = {"source": {"type": "inline", "lines": draw(st.lists(st.text(min_size=1), min_size=1, max_size=5))}}
        case "s3":
            load = {"source": {"type": "s3", "key": "sources/abc", "key_field": draw(st.none() | st.text())}}
    if draw(st.booleans()):
        load["rate"] = draw(st.floats(0.001, 10**7))
        if draw(st.booleans()):
            load["burst"] = {"every_seconds": 10, "length_seconds": draw(st.floats(0.1, 10)), "factor": 3}
    if draw(st.booleans()):
        load["keys"] = {"count": draw(st.integers(1, 10**6)), "distribution": draw(st.sampled_from(["zipf", "single"]))}
    document: dict[str, Any] = {"load": load}
    if draw(st.booleans()):
        document["stream"] = draw(st.sampled_from([{"mode": "ON_DEMAND"}, {"shards": 3}, {"mode": "PROVISIONED"}]))
    if draw(st.booleans()):
        document["slo"] = {"p99_latency_ms": draw(st.floats(0.001, 1e9)), "ordered": True, "max_duplicates": 3}
    document["analyses"] = draw(st.lists(st.sampled_from(["run", "cloudwatch"]), unique=True))
    document["max_cost"] = draw(st.sampled_from(["0.25", 1, 2.5, "9999.99"]))
    return document


@given(documents())
@hypothesis_settings(deadline=None)
def test_a_spec_reaches_the_state_machine_as_it_was_given(document: dict[str, Any]) -> None:
    # Given a body of POST /runs
    spec = RunSpec.model_validate_json(json.dumps(document))
    # When it becomes the input of the machine, and is read there
    there = RunSpec.model_validate_json(json.dumps(spec_json(spec), allow_nan=False))
    # Then it is the same, and says the same once more
    assert there == spec
    assert spec_json(there) == spec_json(spec)


@pytest.mark.parametrize("run_id", ["a", "20261121t140500-9f86d081", "A" * 64, "x.y_z-1"])
def test_run_ids(run_id: str) -> None:
    assert RUN_ID.fullmatch(run_id)


@pytest.mark.parametrize("run_id", ["", "-a", ".a", "a b", "a/b", "a\n", "A" * 65, "ü"])
def test_what_can_not_name_a_run(run_id: str) -> None:
    assert not RUN_ID.fullmatch(run_id)

"""Measures of a version: each computed from facts, none without them."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.packages.registry import NOON, declared, served
from weir.packages.file_formats import FORMATS, format_of
from weir.packages.models import Declared, File, Manifest, State
from weir.packages.scoring import CARD, CONDITIONS, PERMISSIVE, RESEARCH_ONLY, Measure, Score, score

GB = 10**9


def files(*of: Declared, state: State = State.AVAILABLE) -> list[File]:
    return [File("bert-base", "1.0.0", one, "key", state, verified_sha256=one.sha256) for one in of]


def measure(name: str, *of: Declared, known: list[File] | None = None, **fields: Any) -> Measure:
    scored = score(served(files=of, **fields), Manifest(of), files(*of) if known is None else known, NOON)
    (found,) = [one for one in scored.measures if one.name == name]
    return found


@pytest.mark.parametrize(
    ("license_", "value", "evidence"),
    [
        ("Apache-2.0", 1.0, "apache-2.0 is permissive"),
        (" mit ", 1.0, "mit is permissive"),
        ("gpl-3.0", 0.5, "gpl-3.0 sets conditions"),
        ("llama3.1", 0.5, "llama3.1 sets conditions"),
        ("cc-by-nc-4.0", 0.0, "cc-by-nc-4.0 forbids commercial use"),
        ("Bob's own", None, "bob's own is no license that is known here"),
        ("", None, "the metadata tells no license"),
        (None, None, "the metadata tells no license"),
        (["mit"], None, "the metadata tells no license"),
    ],
)
def test_a_license_that_is_not_known_has_no_value(license_: Any, value: float | None, evidence: str) -> None:
    metadata = {} if license_ is None else {"license": license_}
    assert measure("license", metadata=metadata) == Measure("license", value, evidence)


def test_no_license_is_of_two_kinds() -> None:
    assert not PERMISSIVE & CONDITIONS
    assert not (PERMISSIVE | CONDITIONS) & RESEARCH_ONLY


@pytest.mark.parametrize(
    ("size", "value"),
    [(8 * GB, 1.0), (8 * GB + 1, 0.75), (24 * GB, 0.75), (80 * GB, 0.5), (640 * GB, 0.25), (640 * GB + 1, 0.0)],
)
def test_size_is_the_share_of_memories_that_hold_the_weights(size: int, value: float) -> None:
    # Given weights in two files, and a file of data that no memory need hold
    found = measure("size", declared("a.safetensors", size - 1), declared("b.gguf", 1), declared("c.csv", 900 * GB))
    assert found.value == value
    assert found.evidence.startswith(f"{size:,} bytes of weights")


def test_without_weights_nothing_is_said_of_their_size_or_safety() -> None:
    for name in ("size", "safe_weights"):
        assert measure(name, declared("README.md")) == Measure(name, None, "no file is of a format of weights")


def test_formats_are_counted_by_bytes() -> None:
    found = measure("formats", declared("model.safetensors", 60), declared("data.xyz", 40))
    assert found == Measure("formats", 0.6, "60 of 100 bytes are of known formats; unknown: data.xyz")
    assert measure("formats", declared("empty.bin", 0)).value is None
    assert measure("formats").value is None


def test_a_card_is_the_share_of_what_it_should_tell() -> None:
    assert measure("card", metadata={}).value == 0.0
    assert measure("card", metadata=dict.fromkeys(CARD, "told")).value == 1.0
    found = measure("card", declared("README.md"), metadata={"license": "mit", "dataset": [], "task": " "})
    assert found.value == 0.2
    assert found.evidence.startswith("told: license, card; missing: framework")


def test_safe_weights_are_those_that_can_carry_no_code() -> None:
    of = (declared("a.safetensors", 75), declared("b.bin", 25), declared("c.py", 1_000))
    assert measure("safe_weights", *of) == Measure("safe_weights", 0.75, "75 of 100 bytes can carry no code")


@pytest.mark.parametrize("state", [State.SCANNING, State.UPLOADING, State.QUARANTINED])
def test_weights_that_are_not_verified_are_not_called_safe(state: State) -> None:
    of = (declared("a.safetensors", 75), declared("b.gguf", 25))
    known = [*files(of[0]), *files(of[1], state=state)]
    assert measure("safe_weights", *of, known=known) == Measure(
        "safe_weights", None, "1 of 2 files of weights are verified"
    )
    assert measure("safe_weights", *of, known=[]).value is None


@pytest.mark.parametrize(("days", "value"), [(0, 1.0), (90, 1.0), (410, 0.5), (730, 0.0), (5_000, 0.0)])
def test_freshness_falls_from_a_quarter_to_two_years(days: int, value: float) -> None:
    assert measure("freshness", created_at=NOON - timedelta(days=days)).value == value


def test_an_imported_version_is_as_fresh_as_its_source() -> None:
    found = measure("freshness", source={"last_modified": "2025-10-07T12:00:00Z"})
    assert found == Measure("freshness", 0.5, "changed at its source 410 days ago, on 2025-10-07")
    assert measure("freshness", source={"last_modified": "last week"}).value is None


def test_a_clock_that_is_ahead_makes_nothing_fresher_than_fresh() -> None:
    assert measure("freshness", created_at=NOON + timedelta(days=3)).value == 1.0


def test_the_total_is_over_what_was_measured() -> None:
    # Given a version of which license, size, formats and safe weights can't be told
    scored = score(served(files=(), metadata={}), Manifest(), [], NOON)
    assert (scored.total, scored.measured, len(scored.measures)) == (0.5, 2, 6)
    told = {one.name: one.value for one in scored.measures}
    assert told == {
        **dict.fromkeys(("license", "size", "formats", "safe_weights")),
        "card": 0.0,
        "freshness": 1.0,
    }


@given(
    st.lists(
        st.tuples(st.sampled_from([one.suffixes[0] for one in FORMATS] + [".xyz"]), st.integers(0, 10**13)), max_size=5
    ),
    st.sampled_from([{}, {"license": "mit"}, {"license": "?"}]),
    st.integers(0, 5_000),
)
def test_every_value_is_from_0_to_1_with_words(sizes: list[tuple[str, int]], metadata: Any, days: int) -> None:
    of = tuple(declared(f"{number}{suffix}", size) for number, (suffix, size) in enumerate(sizes))
    made = served(files=of, metadata=metadata)
    scored: Score = score(made, Manifest(of), files(*of), NOON + timedelta(days=days))
    assert all(one.evidence and (one.value is None or 0 <= one.value <= 1) for one in scored.measures)
    values = [one.value for one in scored.measures if one.value is not None]
    assert scored.measured == len(values)
    assert scored.total == pytest.approx(sum(values) / len(values), abs=1e-4)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b/Model.SAFETENSORS", "safetensors"),
        ("LICENSE", "text"),
        (".gitattributes", "text"),
        ("pytorch_model.bin", "pytorch"),
        ("no_suffix", None),
        ("dir.gguf/file", None),
        ("x.", None),
    ],
)
def test_a_format_is_told_by_the_last_suffix(path: str, name: str | None) -> None:
    known = format_of(path)
    assert (known and known.name) == name

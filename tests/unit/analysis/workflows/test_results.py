"""Charts: few columns whatever the points, gaps kept, extremes kept."""

import json

import pytest

from tests.unit.analysis.workflows.streams import START, metric
from weir.analysis.facts import Fact
from weir.analysis.workflows.results import COLUMNS, Chart, Why, WorkflowResult, chart_of


def chart(values: list[float | None], **options: object) -> Chart:
    made = chart_of("c", "C", {"x": metric("IncomingRecords", values)}, unit="records", **options)  # type: ignore[arg-type]
    assert made is not None
    return made


def test_few_points_are_drawn_as_they_are() -> None:
    made = chart([1.0, None, 3.0], scale=2.0)
    assert made.to_dict() == {
        "id": "c",
        "title": "C",
        "unit": "records",
        "start": START.isoformat(),
        "seconds": 60,
        "lines": [{"name": "x", "values": [2.0, None, 6.0]}],
        "band": None,
        "marks": [],
        "levels": [],
    }


@pytest.mark.parametrize("points", [COLUMNS + 1, 10_080, 20_000])
def test_many_points_share_columns(points: int) -> None:
    made = chart([float(n) for n in range(points)])
    assert {len(line.values) for line in made.lines} == {-(-points // -(-points // COLUMNS))}
    assert len(made.lines[0].values) <= COLUMNS
    assert made.lines[-1].values[-1] == float(points - 1)


def test_a_spike_among_many_points_is_still_seen() -> None:
    values: list[float | None] = [1.0] * 9600
    values[5000] = 100.0
    made = chart(values, band=([0.5] * 9600, [2.0, 3.0] * 4800), marks={5000: "then"})
    assert made.seconds == 2400
    assert max(v for v in made.lines[2].values if v is not None) == 100.0
    assert made.marks[0].column == 125
    assert (len(made.low), made.high[0]) == (240, 3.0)


def test_a_gap_stays_a_gap() -> None:
    assert chart([1.0] * 480 + [None] * 480).lines[0].values[-1] is None


def test_nothing_known_is_no_chart() -> None:
    assert chart_of("c", "C", {"x": metric("IncomingRecords", [None])}, unit="") is None
    assert chart_of("c", "C", {}, unit="") is None


def test_a_tree_is_json() -> None:
    fact = Fact("n", 1, "records", "run")
    tree = Why("It broke", "supported", (fact,), (Why("Somebody did it", "hypothesis"),))
    form = WorkflowResult(trees=(tree,)).to_dict()["trees"][0]
    assert json.loads(json.dumps(form))["because"][0] == {
        "statement": "Somebody did it",
        "support": "hypothesis",
        "facts": [],
        "because": [],
    }

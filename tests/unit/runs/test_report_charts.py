"""The pictures tell the numbers: lengths and places, worked out by hand."""

import re
from datetime import timedelta
from xml.etree import ElementTree

import pytest

from tests.unit.analysis.measurements import START, arrivals, latencies, measured, shard
from tests.unit.runs.reports import reported, step
from weir.analysis.drawing import plain
from weir.runs.report import Report
from weir.runs.report_charts import arrivals_chart, latency_chart, timeline_chart

LEFT, RIGHT = 64.0, 844.0
"""The plot's edges."""


def shapes(picture: str, tag: str, css: str) -> list[ElementTree.Element]:
    """The elements of a class, in order."""
    root = ElementTree.fromstring(picture)
    return [element for element in root.iter(tag) if css in element.attrib.get("class", "").split()]


def texts(picture: str, css: str = "tick") -> list[str]:
    return [element.text or "" for element in shapes(picture, "text", css)]


def number(element: ElementTree.Element, name: str) -> float:
    return float(element.attrib[name])


def run_of(*shards: list[int]) -> Report:
    series = tuple(shard(i, sum(counts), arrivals=arrivals(*counts)) for i, counts in enumerate(shards))
    return reported(measured(shards=series))


def corners(path: str) -> list[tuple[float, float]]:
    """The points of an M, H, V path."""
    x = y = 0.0
    points = []
    for command, numbers in re.findall(r"([MHV])([\d. ]+)", path):
        if command == "M":
            x, y = map(float, numbers.split())
        elif command == "H":
            x = float(numbers)
        else:
            y = float(numbers)
        points.append((x, y))
    return points


def test_bars_are_as_tall_as_their_counts() -> None:
    # Given 40 records near 10 ms and 10 near 100 ms
    picture = latency_chart(reported(measured(latency=latencies(*[10.2] * 40, *[101.5] * 10))).latency)
    low, high = shapes(picture, "rect", "bar")

    # Then the axis ends at 40, the bars are 200 and 50 high and stand on one line
    assert [texts(picture)[i] for i in range(5)] == ["0", "10", "20", "30", "40"]
    assert (number(low, "height"), number(high, "height")) == (200.0, 50.0)
    assert number(low, "y") + 200 == number(high, "y") + 50 == 274.0

    # And a hover tells how many and what share
    assert "40 records (80.00%)" in str(low.findtext("title"))


def test_quantiles_stand_where_their_bars_are() -> None:
    # Given half at 10 ms, the rest at 100 ms and 1 s
    picture = latency_chart(reported(measured(latency=latencies(*[10.2] * 60, *[101.5] * 36, *[1015] * 4))).latency)
    bars = shapes(picture, "rect", "bar")
    for css, bar in zip(("p50", "p95", "p99"), bars, strict=True):
        (line,) = shapes(picture, "line", css)
        assert number(bar, "x") - 1 <= number(line, "x1") <= number(bar, "x") + number(bar, "width") + 1
    # and the labels are in rows of their own
    labels = [number(element, "y") for element in shapes(picture, "text", "mark-text")]
    assert labels == sorted(set(labels))


def test_the_time_axis_of_latency_is_logarithmic() -> None:
    picture = latency_chart(reported(measured(latency=latencies(1.01, 10.1, 101, 1010))).latency)
    first, second, third, fourth = shapes(picture, "rect", "bar")
    gaps = [number(b, "x") - number(a, "x") for a, b in ((first, second), (second, third), (third, fourth))]
    assert gaps == pytest.approx([gaps[0]] * 3, abs=0.2)
    assert {"1 ms", "10 ms", "100 ms", "1 s"} <= set(texts(picture))


def test_a_line_steps_from_rate_to_rate() -> None:
    # Given 100, 0, 50 and 200 records in four seconds
    report = run_of([100, 0, 50, 200])
    picture = arrivals_chart(report.arrivals, report.shards)
    (path,) = shapes(picture, "path", "s0")

    # Then each rate holds for its second, on an axis from 0 (y 254) to 200 (y 54)
    assert corners(path.attrib["d"]) == [
        (64.0, 154.0), (259.0, 154.0),
        (259.0, 254.0), (454.0, 254.0),
        (454.0, 204.0), (649.0, 204.0),
        (649.0, 54.0), (844.0, 54.0),
    ]  # fmt: skip


def test_a_pointer_is_told_every_shards_rate() -> None:
    report = run_of([100, 20], [30, 40])
    tips = [
        str(area.findtext("title")) for area in shapes(arrivals_chart(report.arrivals, report.shards), "rect", "hover")
    ]
    assert tips == [
        "14:05:00Z (+0 s), records/s\nshardId-000000000000: 100\nshardId-000000000001: 30",
        "14:05:01Z (+1 s), records/s\nshardId-000000000000: 20\nshardId-000000000001: 40",
    ]


def test_a_long_run_is_drawn_by_means() -> None:
    # Given 240 seconds of 10 and 30 records in turn
    report = run_of([10, 30] * 120)
    picture = arrivals_chart(report.arrivals, report.shards)

    # Then 120 stretches of two seconds, each of 20 a second
    (path,) = shapes(picture, "path", "s0")
    assert {y for _, y in corners(path.attrib["d"])} == {54.0}
    assert texts(picture)[:5] == ["0", "5", "10", "15", "20"]
    tips = shapes(picture, "rect", "hover")
    assert len(tips) == 120
    assert str(tips[-1].findtext("title")).startswith("14:08:58Z (+238 s)")
    assert texts(picture)[5:] == ["0 s", "30 s", "60 s", "90 s", "120 s", "150 s", "180 s", "210 s", "240 s"]


def test_intervals_of_several_seconds_are_still_told_by_the_second() -> None:
    # Given 800 seconds of 10 records, counted by two seconds
    report = run_of([10] * 800)
    assert report.arrivals is not None
    assert report.arrivals.width_s == 2
    picture = arrivals_chart(report.arrivals, report.shards)

    # Then the rate is 10 a second, and the axis ends with the run
    tips = [str(area.findtext("title")) for area in shapes(picture, "rect", "hover")]
    assert {tip.rsplit(": ", 1)[1] for tip in tips} == {"10"}
    assert texts(picture)[-1] == "12 min"


@pytest.mark.parametrize(("busiest", "drawn"), [(299, False), (301, True), (2000, True)])
def test_the_quota_is_drawn_where_it_means_something(busiest: int, drawn: bool) -> None:
    report = run_of([busiest, 10])
    lines = shapes(arrivals_chart(report.arrivals, report.shards), "line", "quota")
    assert bool(lines) == drawn
    for line in lines:
        top = max(1000, busiest)
        assert number(line, "y1") == pytest.approx(254 - 200 * 1000 / top, abs=0.1)


def test_the_heat_map_darkens_with_the_rate() -> None:
    # Given 9 shards, of which one has a busy second and the others a quiet one, the last one later
    report = run_of([800, 0], *[[100, 0]] * 7, [0, 100])
    picture = arrivals_chart(report.arrivals, report.shards)

    # Then the busy cell is of the darkest level, in the first row and column, and silence isn't drawn
    (dark,) = shapes(picture, "path", "h7")
    assert dark.attrib["d"] == "M64.0 34.0h390.00v15h-390.00z"
    (light,) = shapes(picture, "path", "h1")
    assert light.attrib["d"].count("M") == 8
    assert "800" in texts(picture, "legend")
    assert "busiest second 800/s" in str(shapes(picture, "rect", "hover")[0].findtext("title"))


def test_steps_lie_where_they_happened() -> None:
    # Given a step of 5 s, one of 10 s after it, and one that never ended, of 20 s in all
    steps = (step("Plan", 0, 5), step("Insert", 5, 15, "FAILED", "boom"), step("Verify", 10, None, "RUNNING"))
    picture = timeline_chart(steps, START + timedelta(seconds=20))
    plan, insert, verify = shapes(picture, "rect", "step-bar")

    # Then 570 units are 20 s
    assert (number(plan, "x"), number(plan, "width")) == (150.0, 142.5)
    assert (number(insert, "x"), number(insert, "width")) == (292.5, 285.0)
    assert (number(verify, "x"), number(verify, "width")) == (435.0, 285.0)
    assert [number(bar, "y") for bar in (plan, insert, verify)] == [12.0, 38.0, 64.0]
    assert insert.attrib["class"] == "step-bar failed"
    assert insert.findtext("title") == "Insert: FAILED, 10 s\nboom"
    assert "10 s, not ended" in texts(picture)


@pytest.mark.parametrize(
    ("took", "labels"),
    [
        (2.0, ["0 s", "0.5 s", "1 s", "1.5 s", "2 s"]),
        (40.0, ["0 s", "5 s", "10 s", "15 s", "20 s", "25 s", "30 s", "35 s", "40 s"]),
        (480.0, [f"{i} min" for i in range(9)]),
        (9000.0, ["0 min", "30 min", "60 min", "90 min", "120 min", "150 min"]),
        (864_000.0, [f"{i} h" for i in range(0, 241, 48)]),
    ],
)
def test_time_is_labelled_by_the_clock(took: float, labels: list[str]) -> None:
    picture = timeline_chart((step("Insert", 0, took),), START)
    shown = [label for label in texts(picture) if label in labels]
    assert shown[: len(labels)] == labels


def test_shard_names_fit_the_margin_of_a_heat_map() -> None:
    def names(shards: int) -> list[str]:
        report = run_of(*[[10, 20]] * shards)
        return [text for text in texts(arrivals_chart(report.arrivals, report.shards)) if text.startswith("…")]

    assert names(12) == [f"…{i:05d}" for i in range(12)]
    assert names(30) == [f"…{i:05d}" for i in range(0, 30, 4)]


@pytest.mark.parametrize(
    ("n", "words"),
    [(0, "0"), (0.1234, "0.123"), (99.94, "99.9"), (1170.4, "1,170"), (8_003_300_000.0, "8,003,300,000")],
)
def test_numbers_never_have_an_exponent(n: float, words: str) -> None:
    assert plain(n) == words

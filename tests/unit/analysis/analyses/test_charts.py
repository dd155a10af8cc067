"""The pictures: places by hand, gaps that stay gaps, a band where one is known."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from weir.analysis.analyses.charts import HEIGHT, TOP, chart_svg
from weir.analysis.drawing import LEFT, PLOT

SVG = "{http://www.w3.org/2000/svg}"


def chart(*lines: tuple[str, list[float | None]], **changes: Any) -> dict[str, Any]:
    told = {"id": "x", "title": "Load", "unit": "records/s", "start": "2026-11-20T00:00:00+00:00", "seconds": 3600}
    return {**told, "lines": [{"name": n, "values": v} for n, v in lines], "band": None, "marks": [], **changes}


def drawn(told: dict[str, Any]) -> list[ElementTree.Element]:
    picture = re.search(r"<svg.*</svg>", chart_svg(told), re.DOTALL)
    assert picture is not None
    return list(ElementTree.fromstring(picture[0]).iter())


def paths(told: dict[str, Any], css: str) -> list[str]:
    return [one.get("d") or "" for one in drawn(told) if one.tag == "path" and one.get("class") == css]


def texts(told: dict[str, Any]) -> list[str]:
    return [one.text or "" for one in drawn(told) if one.tag == "text"]


def test_points_are_where_their_values_are() -> None:
    # Given four columns, the highest at the top of the axis
    (path,) = paths(chart(("a", [0.0, 50.0, 100.0, 25.0])), "line s0")
    step = PLOT / 4
    expected = [(LEFT + (i + 0.5) * step, TOP + HEIGHT * (1 - value / 100)) for i, value in enumerate((0, 50, 100, 25))]
    assert path == "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in expected)


def test_a_gap_breaks_the_line_and_a_point_alone_is_seen() -> None:
    (path,) = paths(chart(("a", [1.0, 2.0, None, 3.0, None, None])), "line s0")
    assert path.count("M") == 2
    assert path.count("L") == 1
    assert re.search(r"M[\d.]+ [\d.]+h[\d.]+$", path)


def test_the_band_is_drawn_where_both_of_its_edges_are_known() -> None:
    band = {"low": [None, 1.0, 1.0, None], "high": [None, 3.0, 4.0, 5.0]}
    (path,) = paths(chart(("a", [2.0, 2.0, 2.0, 2.0]), band=band), "band")
    assert path.count("M") == 1
    assert path.count("L") == 3
    assert path.endswith("Z")

    # And of one column alone it is as wide as that
    alone = chart(("a", [2.0]), band={"low": [1.0], "high": [2.0]})
    (path,) = paths(alone, "band")
    assert path.count("L") == 3
    assert "expected" in texts(alone)


def test_what_is_odd_is_ringed_and_named() -> None:
    told = chart(("a", [1.0, 9.0, None]), marks=[{"column": 1, "label": "at two"}, {"column": 2, "label": "gap"}])
    rings = [one for one in drawn(told) if one.get("class") == "odd"]
    assert [ring.findtext("title") for ring in rings] == ["at two"]


def test_of_points_that_share_a_column_the_oddest_is_ringed() -> None:
    # Given a spike and a dip that means of their columns hide, and a column whose points are all alike
    told = chart(
        ("a", [10.0, 10.0, 10.0]),
        ("a, lowest", [8.0, 0.0, 10.0]),
        ("a, highest", [100.0, 12.0, 10.0]),
        ("another, highest", [50.0, 50.0, 50.0]),
        marks=[{"column": column, "label": "odd"} for column in range(3)],
    )
    rings = [float(one.get("cy") or 0) for one in drawn(told) if one.get("class") == "odd"]
    assert rings == [round(TOP + HEIGHT * (1 - value / 100), 1) for value in (100, 0, 10)]


@pytest.mark.parametrize(("highest", "shown"), [(20.0, False), (30.0, True), (150.0, True)])
def test_a_level_is_drawn_where_the_lines_come_near_it(highest: float, shown: bool) -> None:
    told = chart(("a", [highest]), levels=[{"value": 100.0, "label": "all there is"}])
    assert ("all there is" in texts(told)) is shown
    heights = [float(one.get("y1") or 0) for one in drawn(told) if one.get("class") == "quota"]
    top = 150.0 if highest > 100 else 100.0
    assert heights == ([round(TOP + HEIGHT * (1 - 100 / top), 1)] if shown else [])


def test_ticks_are_round_in_the_unit_that_is_shown() -> None:
    # Given ages of up to sixteen hours, in seconds
    words = texts(chart(("age", [57_600.0, 3600.0]), unit="s"))
    assert {"h", "5", "10", "15"} <= set(words) or {"h", "4", "8", "12", "16"} <= set(words)


@pytest.mark.parametrize("values", [[], [None, None]])
def test_no_picture_is_drawn_of_nothing(values: list[float | None]) -> None:
    assert chart_svg(chart(("a", values))) == '<p class="nothing">Load: no point is known.</p>'


def test_all_zeros_are_a_line_on_the_axis() -> None:
    (path,) = paths(chart(("a", [0.0, 0.0])), "line s0")
    assert {point.split(" ")[1] for point in path[1:].split("L")} == {f"{TOP + HEIGHT:.1f}"}


@pytest.mark.parametrize(
    ("top", "unit", "told"),
    [
        (25_000_000.0, "bytes", "MB"),
        (80_000.0, "", "thousand"),
        (8_000.0, "ms", "ms"),
        (20_000.0, "bytes", "kB"),
        (60_000.0, "ms", "s"),
        (8e7, "ms", "h"),
    ],
)
def test_large_numbers_are_told_in_units_that_fit_the_margin(top: float, unit: str, told: str) -> None:
    words = texts(chart(("a", [top]), unit=unit))
    assert told in words
    assert all(len(word) <= 9 for word in words if word[0].isdigit() and ":" not in word)


def test_edges_of_a_coarse_line_have_its_colour_and_one_name() -> None:
    told = chart(
        ("writes", [1.0, 2.0]),
        ("writes, lowest", [0.5, 1.0]),
        ("writes, highest", [3.0, 4.0]),
        ("reads", [1.0, 1.0]),
    )
    assert len(paths(told, "line s0 thin")) == 2
    assert len(paths(told, "line s1")) == 1
    assert [word for word in texts(told) if "est" in word] == ["lowest and highest"]


@pytest.mark.parametrize(
    ("seconds", "columns", "first"),
    [(60, 60, "00:00"), (3600, 48, "11-20 00:00"), (86_400, 60, "2026-12-03")],
)
def test_moments_are_told_at_round_times(seconds: int, columns: int, first: str) -> None:
    told = texts(chart(("a", [1.0] * columns), seconds=seconds))
    moments = [word for word in told if re.search(r"\d\d:\d\d$|^\d{4}-", word)]
    assert moments[0].startswith(first)
    assert 2 <= len(moments) <= 9


def test_without_a_beginning_the_columns_are_hours_of_a_day() -> None:
    assert "12:00" in texts(chart(("mean", [1.0] * 24), start=""))

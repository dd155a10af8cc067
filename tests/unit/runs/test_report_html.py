"""The report as a page: self-contained, safe against every name in it, and legible for odd runs."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from tests.unit.analysis.measurements import START, arrivals, latencies, measured, shard
from tests.unit.runs.reports import HOSTILE, reported, step
from weir.analysis.measurement import Measurement
from weir.runs.models import Verdict
from weir.runs.report import Report
from weir.runs.report_charts import arrivals_chart, latency_chart, milliseconds, seconds, timeline_chart
from weir.runs.report_html import render_html

VOID = {"meta", "br", "img", "link", "input"}
NOTHING = Measurement(run_id="r", stream_name="s", mode="PROVISIONED")


class Page(HTMLParser):
    """Elements and text of a page; fails where elements aren't closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if self._open and self._open[-1] != "style" else ""


def many(count: int, seconds_long: int = 5) -> Report:
    each = [10 + i % 3 for i in range(seconds_long)]
    shards = tuple(shard(i, 100 + i, arrivals=arrivals(*each)) for i in range(count))
    return reported(measured(shards=shards, open_shards=count))


ODD = {
    "healthy": reported(),
    "nothing measured": reported(NOTHING, cost=None, month=None, resources_left=None, verdict=Verdict.ABORTED),
    "no step": reported(NOTHING, steps=(), cost=None, month=None),
    "no record": reported(measured(accepted=0, seen=0, shards=(shard(0, 0, arrivals=arrivals()),), latency=None)),
    "one record": reported(measured(accepted=1, latency=latencies(3), shards=(shard(0, 1, arrivals=arrivals(1)),))),
    "8 shards": many(8),
    "9 shards": many(9),
    "64 shards": many(64, 700),
    "100 shards": many(100),
    "zero latency": reported(measured(latency=latencies(0, 0, 0))),
    "an hour": reported(measured(latency=latencies(0.001, 3_600_000))),
    "left behind": reported(resources_left=("weir-run-1",), verdict=Verdict.FAILED),
    "not ended": reported(steps=(step("Insert", 0, 5, "FAILED", "boom"), step("DeleteStream", 5, None, "RUNNING"))),
}


@pytest.mark.parametrize("name", ODD)
def test_any_run_makes_a_well_formed_page_without_foreign_resources(name: str) -> None:
    # Given any run, When its page is read by a parser
    page = Page(render_html(ODD[name]))

    # Then it is whole, names the verdict, has no number with an exponent, and loads nothing
    assert not re.search(r"\de[+-]?\d", page.text)
    assert ODD[name].verdict in page.text
    assert not {"script", "link", "img", "iframe", "object", "image"} & {tag for tag, _ in page.elements}
    for tag, attributes in page.elements:
        assert not {"src", "srcset", "data", "xlink:href"} & set(attributes), tag
        assert not [attribute for attribute in attributes if attribute.startswith("on")], tag
        assert tag != "a" or str(attributes["href"]).startswith(("https://", "http://", "/"))


@pytest.mark.parametrize("name", ODD)
def test_no_coordinate_is_off_the_picture(name: str) -> None:
    # Given every chart of the page
    for picture in re.findall(r"<svg.*?</svg>", render_html(ODD[name]), re.DOTALL):
        root = ElementTree.fromstring(picture)
        _, _, width, height = map(float, root.attrib["viewBox"].split())

        # Then what is drawn lies within it
        for element in root.iter():
            spot = {
                k: float(v)
                for k, v in element.attrib.items()
                if k in {"x", "y", "x1", "x2", "y1", "y2", "width", "height"}
            }
            right = max(spot.get("x", 0) + spot.get("width", 0), spot.get("x1", 0), spot.get("x2", 0))
            bottom = max(spot.get("y", 0) + spot.get("height", 0), spot.get("y1", 0), spot.get("y2", 0))
            assert 0 <= right <= width + 1, element.attrib
            assert 0 <= bottom <= height + 1, element.attrib
            assert min(spot.values(), default=0) >= 0, element.attrib
        assert "nan" not in picture


def test_every_text_is_escaped() -> None:
    # Given a run whose every name is an attack
    m = measured(
        run_id=HOSTILE,
        stream_name=HOSTILE,
        mode=HOSTILE,
        region=HOSTILE,
        shards=(shard(0, 9000, shard_id=HOSTILE, throttled=5), shard(1, 10)),
        top_keys=((HOSTILE, 9000),),
        missing=(HOSTILE,),
    )
    hostile = reported(
        m,
        reasons=[HOSTILE],
        spec={HOSTILE: HOSTILE},
        steps=(step(HOSTILE, 0, 1, detail=HOSTILE),),
        resources_left=(HOSTILE,),
        links={HOSTILE: "https://example.org/" + HOSTILE, "other": "javascript:alert(1)"},
    )

    # When the page is read by a parser
    text = render_html(hostile)
    page = Page(text)

    # Then nothing of it became an element or an attribute, and all of it is there as text
    assert not {"script", "img"} & {tag for tag, _ in page.elements}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert page.text.count(HOSTILE) > 8
    assert "javascript:alert(1)" not in [attributes.get("href") for _, attributes in page.elements]
    for picture in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(picture)


def test_a_policy_forbids_what_slipped_through() -> None:
    assert "default-src 'none'" in render_html(reported())


def test_the_page_tells_the_key_numbers() -> None:
    page = Page(render_html(reported(measured(lost=12, seen=9_988, top_keys=(("tenant-7", 321),)))))
    for words in ("9,988", "12 records were accepted and never read back", "1,000", "$0.0315", "tenant-7", "Insert"):
        assert words in page.text, words


def test_unknown_numbers_are_said_to_be_unknown() -> None:
    page = Page(render_html(ODD["nothing measured"]))
    assert "whether anything was left behind" in page.text
    assert "The cost could not be told." in page.text
    assert page.text.count("not known") > 10
    assert render_html(ODD["nothing measured"]).count('class="tile unknown"') == 10
    assert render_html(ODD["left behind"]).count('class="tile bad"') == 1


def test_charts_without_data_say_so() -> None:
    assert "<svg" not in latency_chart(None)
    assert "<svg" not in arrivals_chart(None, ())
    assert "<svg" not in timeline_chart((), START)


def test_few_shards_are_lines_and_many_a_heat_map() -> None:
    eight, nine = many(8), many(9)
    assert arrivals_chart(eight.arrivals, eight.shards).count('class="line s') == 16  # a line and its legend each
    assert 'class="line' not in arrivals_chart(nine.arrivals, nine.shards)
    assert 'class="heat' in arrivals_chart(nine.arrivals, nine.shards)


def test_a_page_stays_small_whatever_the_shards_and_seconds() -> None:
    assert len(render_html(ODD["64 shards"])) < 400_000
    assert len(render_html(many(200, 700))) < 400_000


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0.0005, "0.5 µs"),
        (0.84, "840 µs"),
        (12.34, "12.3 ms"),
        (999.7, "1 s"),
        (4512, "4.51 s"),
        (185_000, "3 min 05 s"),
    ],
)
def test_latencies_in_words(ms: float, words: str) -> None:
    assert milliseconds(ms) == words


@pytest.mark.parametrize(("s", "words"), [(0.44, "0.4 s"), (12, "12 s"), (119.7, "2 min 00 s"), (7800, "2 h 10 min")])
def test_durations_in_words(s: float, words: str) -> None:
    assert seconds(s) == words


def test_inline_lines_do_not_fill_the_page() -> None:
    # Given a spec with 10,000 lines in it
    spec = {"load": {"source": {"type": "inline", "lines": [f"line {i}" for i in range(10_000)]}}}
    page = Page(render_html(reported(spec=spec)))

    # Then the first few are shown, and how many aren't
    assert "line 19" in page.text
    assert "line 20" not in page.text
    assert "... and 9,980 more" in page.text


def test_costs_are_shown_with_their_prices() -> None:
    page = Page(render_html(reported()))
    for words in ("$0.015 a shard-hour", "$0.20 for 1,000,000 request", "In all", "$0.0300", "$0.000267"):
        assert words in page.text, words
    assert "At least" not in page.text


def test_a_cost_with_a_gap_is_a_lower_bound() -> None:
    m = measured(stream_seconds=None, region="eu-north-1")
    page = Page(render_html(reported(m)))
    assert "At least, in all" in page.text
    assert "Not known, so not in the total: Kinesis shard-hours." in page.text
    assert "us-east-1, for want of eu-north-1's own" in page.text


def test_links_are_shown_where_there_are_any() -> None:
    page = Page(render_html(reported(links={"Execution": "https://example.org/x"})))
    assert ("a", {"href": "https://example.org/x", "rel": "noreferrer"}) in page.elements
    assert "a" not in [tag for tag, _ in Page(render_html(reported())).elements]

"""The page: self-contained, escaped to the last text, with the expected band drawn behind each series."""

import re
from html.parser import HTMLParser

import pytest

from tests.unit.analysis.analyses.documents import attacked, busy, document
from weir.analysis.analyses.export_html import MOST_DRAWN, render_html

ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "</style><script>alert(1)</script>",
    "javascript:alert(1)//<a href='x'>",
    "</title></head><body onload=alert(1)>",
)
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "h1", "h2", "h3", "span", "small"),
    *("div", "p", "b", "ul", "li", "code", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "a"),
    *("svg", "path", "line", "rect", "text", "circle"),
}


class Page(HTMLParser):
    """The tags and attributes of a page, and whether each tag is closed by its own end."""

    VOID = ("meta",)

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_tells_the_findings_with_their_evidence_and_draws_the_band() -> None:
    told = document(busy())
    page = Page(render_html(told))
    text = " ".join(page.texts)
    (stream,) = told["streams"]
    for finding in stream["findings"]:
        assert finding["title"] in text
        assert finding["advice"] in text
        for fact in finding["evidence"]:
            assert fact["text"] in text
    assert ("class", "band") in page.attributes
    assert ("class", "odd") in page.attributes
    assert page.open == []


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_text_is_escaped(attack: str) -> None:
    # Given a document in which a stranger has written before every text
    told = attacked(document(busy(), busy("payments"), worse=[{"stream": "a", "severity": "x", "title": "t"}]), attack)

    # When it is rendered
    raw = render_html(told)
    page = Page(raw)

    # Then there is no tag and no attribute but the page's own, and the text is all there
    assert page.tags <= TAGS
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert {name for name, _ in page.attributes} <= {
        *("lang", "charset", "http-equiv", "content", "name", "class", "id", "href", "open", "role", "aria-label"),
        *("viewbox", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "d", "width", "height", "text-anchor"),
    }
    assert all((value or "").startswith("#s") for name, value in page.attributes if name == "href")
    assert page.open == []
    assert attack in " ".join(page.texts)


def test_the_page_loads_nothing_and_may_run_nothing() -> None:
    raw = render_html(document(busy()))
    assert "default-src 'none'" in raw
    assert not re.search(r"(src|href)=[\"'](?!#)", raw)
    assert "url(" not in raw
    assert "<script" not in raw


def test_what_could_not_be_read_is_told_at_the_top() -> None:
    raw = render_html(document(busy(not_read=("IncomingBytes: no answer",)), partial=["orders: IncomingBytes"]))
    assert raw.index("<b>Partial.</b>") < raw.index("orders: IncomingBytes") < raw.index("<h2>Streams</h2>")
    assert "All that was asked for was read" not in raw


def test_an_analysis_of_no_stream_is_a_page_too() -> None:
    page = Page(render_html(document(partial=["no stream was found that has these tags"])))
    assert "None was found." in page.texts


def test_the_worst_streams_come_first_and_charts_are_not_without_end() -> None:
    # Given more streams than charts are drawn of, of which the last is throttled
    quiet = [busy(f"s{number:02d}", created_at=None) for number in range(3)]
    throttled = busy("zz", throttled=[5_000.0] * 1440)
    told = document(*quiet, throttled)
    assert told["streams"][0]["name"] == "zz"
    many = {**told, "streams": told["streams"] * (MOST_DRAWN // 4 + 1)}
    raw = render_html(many)
    assert raw.count(" charts</summary>") == MOST_DRAWN


def test_a_page_of_hundreds_of_streams_is_bounded() -> None:
    # Given as many streams as an analysis may have
    (one,) = document(busy(throttled=[50_000.0] * 1440))["streams"]
    told = document()
    many = {**told, "streams": [{**one, "name": f"stream-{number:03d}"} for number in range(500)]}
    raw = render_html(many)

    # Then all of them, and what asks for something with its evidence, are there
    page = Page(raw)
    text = " ".join(page.texts)
    asking = [finding for finding in one["findings"] if finding["severity"] != "info"]
    assert asking
    assert all(text.count(stream["name"]) >= 2 for stream in many["streams"])
    assert raw.count("<summary>Evidence") == MOST_DRAWN * len(one["findings"]) + (500 - MOST_DRAWN) * len(asking)

    # And the rest of those that are not the worst is where all of it is, which the page says
    assert text.count("are in the JSON") == 500 - MOST_DRAWN
    assert len(raw) < 16_000_000


def test_what_is_told_comes_before_the_streams() -> None:
    raw = render_html(document(busy()))
    assert raw.index("<h2>In words</h2>") < raw.index("<h2>Streams</h2>") < raw.index('<section id="s0">')


def test_the_words_of_a_template_are_those_that_ask_for_something_first() -> None:
    sentences = [{"text": f"sentence {number}", "facts": []} for number in range(30)]
    told = {"by": "template", "model": "", "note": "", "sentences": sentences}
    assert " more</summary><ul><li>sentence" in render_html(document(busy(), told=told))
    by_model = {**told, "by": "model", "model": "claude"}
    raw = render_html(document(busy(), told=by_model))
    assert "Told by claude." in raw
    assert " more</summary><ul><li>sentence" not in raw

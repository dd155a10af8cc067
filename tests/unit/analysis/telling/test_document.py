"""What of a document may stand in a sentence with its digits."""

from typing import Any

from weir.analysis.telling.document import names_in
from weir.analysis.telling.numbers import unsupported

RUN = "20261121t120000-9f86d081"


def test_a_run_may_be_told_of_by_its_id_and_its_time() -> None:
    # Given a finding that rests on what a run measured
    source = f"run {RUN}, 2026-11-21 12:00:00 to 2026-11-21 12:01:40 UTC: arrivals"
    fact: dict[str, Any] = {"name": "busiest second", "value": 1200, "unit": "records/s", "source": source}
    finding = {"id": "bursts", "severity": "info", "evidence": [fact]}
    names = names_in({"streams": [{"name": "orders", "findings": [finding]}]})
    # When a model tells of it / Then the run's own digits are no numbers, and others are
    told = f"In run {RUN}, at 12:00 on 2026-11-21, the busiest second brought 1,200 records/s."
    assert unsupported(told, [fact], names) == []
    assert unsupported(told.replace("11-21", "11-22"), [fact], names) == ["2026-11-22"]

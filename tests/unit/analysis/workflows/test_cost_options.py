"""Months by hand from the price list: as it is, in the other mode, with other shards, with a day's retention."""

from typing import Any

import pytest

from tests.unit.analysis.workflows.streams import by_name, evidence, found, hourly, result, stream
from weir.analysis.workflows.cost_options import idle_month
from weir.analysis.workflows.stream_facts import StreamFacts

WEEK = 168


def week(rate: float, size: float = 1024.0, **changes: Any) -> StreamFacts:
    return hourly([rate] * WEEK, size, **changes)


def test_a_provisioned_month_and_the_same_on_demand() -> None:
    # Given 2 shards, 500 records/s of 1 KiB, all read once
    told = by_name(result("cost", week(500.0)).facts)

    # Then 2 x 730 x $0.015 = $21.90, and 500 x 2,628,000 s = 1,314 M units x $0.014/M = $18.396
    assert told["month now"] == pytest.approx(21.90 + 18.396)
    # And on demand 730 x $0.04, and 1,314,000,000 / 1,048,576 = 1,253.13 GB in x $0.08 and out x $0.04
    assert told["month on demand"] == pytest.approx(29.20 + 1253.12805 * 0.12, abs=0.001)


def test_records_are_billed_by_their_rounded_sizes() -> None:
    # Given 10 records/s of 30,000 B: 2 payload units and 30 KiB each
    told = by_name(result("cost", week(10.0, 30_000.0)).facts)
    assert told["month now"] == pytest.approx(21.90 + 2 * 10 * 2.628 * 0.014)
    read = 10 * 30_000 * 2_628_000 / 2**30
    assert told["month on demand"] == pytest.approx(29.20 + 10 * 30 * 2_628_000 / 2**20 * 0.08 + read * 0.04)


def test_fewer_shards_that_carry_the_demand_are_cheaper() -> None:
    # Given 10 shards and 500 records/s of 100 B, which one shard carries with a quarter to spare
    finding = found("cost", week(500.0, 100.0, open_shards=10))["cost-lower"]
    told = evidence(finding)
    assert finding.severity == "warning"
    assert told["month now"] == pytest.approx(109.5 + 18.396)
    assert told["month with the shards advised"] == pytest.approx(10.95 + 18.396)
    assert told["saving"] == pytest.approx(98.55)
    assert told["saving of the cost"] == pytest.approx(100 * 98.55 / 127.896)


def test_a_quiet_stream_of_many_shards_is_cheaper_on_demand_when_shards_must_stay() -> None:
    # Given 10 shards that a peak of yesterday needs, and next to nothing else
    facts = hourly([1.0] * (WEEK - 2) + [9500.0, 1.0], 100.0, open_shards=10)
    finding = found("cost", facts)["cost-lower"]
    assert "month on demand" in finding.title
    assert "month with the shards advised" not in evidence(finding)


def test_a_choice_that_is_not_wholly_priced_is_not_recommended() -> None:
    # Given the same, and nothing known of how much is read, which on demand is paid for
    facts = hourly([1.0] * (WEEK - 2) + [9500.0, 1.0], 100.0, open_shards=10, bytes_out=[None] * WEEK)
    assert {"cost-now", "cost-best"} == set(found("cost", facts))


def test_a_small_saving_is_information() -> None:
    # Given on demand at $29.20 and next to no load: one shard costs $10.95
    facts = week(0.001, mode="ON_DEMAND", open_shards=4)
    assert found("cost", facts)["cost-lower"].severity == "warning"
    # And a provisioned stream of 1 shard that keeps 25 hours: $14.60 more for the retention
    kept = week(700.0, 100.0, open_shards=1, retention_hours=48)
    told = evidence(found("cost", kept)["cost-lower"])
    assert told["saving"] == pytest.approx(730 * 0.02)
    # And three shards that were throttled, so that none is taken away: $32.85 against $29.20 is a ninth
    few = week(0.01, 100.0, open_shards=3, throttled=[1.0] + [0.0] * (WEEK - 1))
    assert found("cost", few)["cost-lower"].severity == "info"


def test_the_best_choice_is_said_to_be() -> None:
    assert "cost-best" in found("cost", week(700.0, 100.0, open_shards=1))


def test_the_load_at_which_the_answer_changes() -> None:
    # Given a week of 10 records/s with 8 hours at 5,000, 100 B each: 247.62 records/s on average, 5 shards at p99
    facts = hourly([10.0] * 160 + [5000.0] * 8, 100.0, open_shards=7)

    # Then 7 shards (6.25 rounded up) and 650.74 M units cost 76.65 + 9.11 = 85.76, on demand 29.20 + 52.07
    told = by_name(result("cost", facts).facts)
    assert told["month now"] == pytest.approx(85.76, abs=0.01)
    assert told["month on demand"] == pytest.approx(81.27, abs=0.01)

    # And with 4 % less load 6 shards are enough: 65.70 + 8.75 = 74.45 against 79.19
    finding = found("cost", facts)["cost-break-even"]
    assert evidence(finding)["break-even load, of the present"] == pytest.approx(0.96)
    assert evidence(finding)["break-even volume"] == pytest.approx(0.96 * 247.62 * 100 / 1024, rel=1e-4)
    assert finding.title.startswith("On demand is the cheaper mode for this load; below")


def test_where_one_mode_is_always_the_cheaper_no_load_changes_the_answer() -> None:
    # Given an even load: a shard carries for $10.95 what costs $350 on demand
    assert "cost-break-even" not in found("cost", week(700.0, open_shards=1))


def test_missing_points_are_not_taken_for_zero() -> None:
    # Given the same rate in a week of which every second hour is missing
    whole = by_name(result("cost", hourly([500.0] * WEEK)).facts)
    holed = result("cost", hourly([500.0, None] * (WEEK // 2))).facts
    assert by_name(holed)["month now"] == pytest.approx(whole["month now"])
    assert not next(fact for fact in holed if fact.name == "month now").complete


def test_a_month_of_few_points_says_so_and_asks_for_nothing() -> None:
    # Given writers that rest for hours of which nothing is known, on ten shards
    told = found("cost", hourly([500.0, None] * (WEEK // 2), 100.0, open_shards=10))

    for id_ in ("cost-now", "cost-lower"):
        assert told[id_].title.endswith(", going by 50 % of its points; the others are not known")
        assert (told[id_].severity, evidence(told[id_])["points known"]) == ("info", 50.0)
    # And with nine in ten known it is not worth a word
    told = found("cost", hourly(([500.0] * 9 + [None]) * 17, 100.0, open_shards=10))
    assert told["cost-lower"].severity == "warning"
    assert "going by" not in told["cost-now"].title


def test_reads_that_are_not_known_are_not_priced_as_none() -> None:
    # Given a stream on demand whose reading has no points
    facts = week(500.0, mode="ON_DEMAND", open_shards=4, bytes_out=[None] * WEEK)
    now = next(fact for fact in result("cost", facts).facts if fact.name == "month now")
    assert not now.complete
    assert "on-demand data out" in now.source
    assert "at least" in found("cost", facts)["cost-now"].title


@pytest.mark.parametrize(
    ("changes", "month"),
    [
        ({"open_shards": 3}, 32.85),
        ({"mode": "ON_DEMAND"}, 29.2),
        ({"mode": "ON_DEMAND", "open_shards": None}, 29.2),
        ({"open_shards": 3, "retention_hours": 48}, 32.85 + 3 * 730 * 0.02),
    ],
)
def test_an_idle_month_by_hand(changes: dict[str, object], month: float) -> None:
    fact = idle_month(stream(**changes))
    assert fact is not None
    assert fact.value == pytest.approx(month)


def test_what_is_not_known_has_no_price() -> None:
    assert idle_month(stream(open_shards=None)) is None
    assert idle_month(stream(retention_hours=None)) is None
    told = found("cost", stream(**{k: [None] for k in ("records", "bytes_in")}))
    assert set(told) == {"cost-unknown"}
    assert evidence(told["cost-unknown"])["month without any load"] == pytest.approx(21.9)


def test_prices_say_since_when_they_hold() -> None:
    told = by_name(result("cost", week(1.0, region="eu-nowhere-1")).facts)
    assert told["prices of"] == "2024-11-01"
    now = next(f for f in result("cost", week(1.0, region="eu-nowhere-1")).facts if f.name == "month now")
    assert "us-east-1" in now.source

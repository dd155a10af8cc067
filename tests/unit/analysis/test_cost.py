"""Costs, each line by hand from the price list."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.analysis.measurements import measured, shard
from weir.analysis.cost import Cost, cost_of_run, estimate_run, month_like_it
from weir.analysis.prices import PICO, Price, price_list, usd


def lines(cost: Cost) -> dict[str, tuple[str, str]]:
    return {f"{line.service}: {line.item}": (line.quantity, usd(line.pico)) for line in cost.lines}


def estimate(**changes: object) -> Cost:
    values: dict[str, object] = {
        "mode": "PROVISIONED",
        "shards": 3,
        "records": 67_000,
        "record_bytes": 200,
        "stream_seconds": 120.0,
        "lambda_gb_seconds": 60.0,
        "lambda_requests": 40,
        "state_transitions": 60,
    }
    return estimate_run(**(values | changes))  # type: ignore[arg-type]


def test_a_provisioned_run_by_hand() -> None:
    assert lines(estimate()) == {
        "Kinesis: shard-hours": ("3", "0.045"),  # 3 x 1 begun hour x $0.015
        "Kinesis: PUT payload units": ("67000", "0.000938"),  # x $0.014 a million
        "Lambda: duration": ("60", "0.000800004"),  # x $0.0000133334
        "Lambda: requests": ("40", "0.000008"),  # x $0.20 a million
        "Step Functions: state transitions": ("60", "0.0015"),  # x $0.025 a thousand
    }
    assert estimate().usd == "0.048246004"


@pytest.mark.parametrize(("size", "units"), [(1, 1), (25_600, 1), (25_601, 2), (1_048_576, 41)])
def test_payload_units_are_25_kb_begun(size: int, units: int) -> None:
    quantity, _ = lines(estimate(records=10, record_bytes=size))["Kinesis: PUT payload units"]
    assert quantity == str(10 * units)


def test_an_on_demand_run_by_hand() -> None:
    # Given 1,048,576 records of 1,500 B: 2 KiB each as billed, which is 2 GB; 1.46484375 GB out
    told = lines(estimate(mode="ON_DEMAND", shards=None, records=1_048_576, record_bytes=1500, stream_seconds=3601.0))
    assert told["Kinesis: on-demand stream-hours"] == ("2", "0.08")
    assert told["Kinesis: on-demand data in"] == ("2", "0.16")
    assert told["Kinesis: on-demand data out"] == ("1.464844", "0.05859375")
    assert "Kinesis: shard-hours" not in told


def test_aggregation_pays_for_fewer_larger_records() -> None:
    # Given 100,000 records of 100 B, 500 in one of 50,000 B: 200 records of 2 units
    quantity, _ = lines(estimate(records=100_000, record_bytes=100, user_records_per_record=500.0))[
        "Kinesis: PUT payload units"
    ]
    assert quantity == "400"


def test_retention_beyond_a_day_costs_shard_hours_again() -> None:
    assert lines(estimate(retention_hours=25))["Kinesis: extended retention"] == ("3", "0.06")
    assert "Kinesis: extended retention" not in lines(estimate(retention_hours=24))


def test_a_region_without_prices_is_priced_as_another_and_says_so() -> None:
    cost = estimate(region="eu-north-1")
    assert (cost.region, cost.priced_as) == ("eu-north-1", "us-east-1")
    assert cost.usd == estimate().usd
    assert price_list("eu-north-1").fallback
    assert not price_list("us-east-1").fallback


def test_a_run_costs_what_it_measured() -> None:
    cost = cost_of_run(measured(payload_units=10_000))
    told = lines(cost)
    assert told["Kinesis: shard-hours"] == ("2", "0.03")
    assert told["Kinesis: PUT payload units"] == ("10000", "0.00014")
    assert told["DynamoDB: writes"] == ("30", "0.00001875")
    assert told["CloudWatch: metrics requested"] == ("7", "0.00007")
    assert (cost.missing, cost.approximate) == ((), ())


def test_what_was_not_measured_is_missing_and_not_free() -> None:
    cost = cost_of_run(measured(lambda_gb_seconds=None, stream_seconds=None))
    assert cost.missing == ("Kinesis shard-hours", "Lambda duration")
    assert not cost.complete
    unread = measured(mode="ON_DEMAND", shards=(shard(0), shard(1, read_bytes=None)))
    assert cost_of_run(unread).missing == ("Kinesis on-demand data out",)


def test_an_account_that_is_not_whole_makes_no_whole_cost() -> None:
    # Given a run of which a writer never told its end, so that its losses are not known; When its cost is added up
    cost = cost_of_run(measured(lost=None))

    # Then the sum is what is known of, and says that there is more
    assert cost.usd == cost_of_run(measured()).usd
    assert cost.missing == ("what writers and readers did after their last checkpoints",)


def test_sizes_reckoned_from_the_mean_are_said_to_be() -> None:
    assert cost_of_run(measured()).approximate == ("Kinesis PUT payload units",)
    assert cost_of_run(measured(mode="ON_DEMAND")).approximate == ("Kinesis on-demand data in",)
    assert cost_of_run(measured(mode="ON_DEMAND", rounded_kib=10_000)).approximate == ()


def test_a_month_like_it_by_hand() -> None:
    # Given 1,000 records/s of 256 B for 730 h, which is 2,628,000,000 records
    month = month_like_it(measured(payload_units=10_000, rounded_kib=10_000))
    assert month is not None

    # Then 2 shards x 730 h x $0.015 = $21.90, and 2,628 M units x $0.014 = $36.792
    assert lines(month.provisioned) == {
        "Kinesis: shard-hours": ("1460", "21.90"),
        "Kinesis: PUT payload units": ("2628000000", "36.792"),
    }
    # and on demand 730 h x $0.04, 2,628,000,000 KiB = 2,506.256 GB in x $0.08, a quarter of it out x $0.04
    assert lines(month.on_demand) == {
        "Kinesis: on-demand stream-hours": ("730", "29.20"),
        "Kinesis: on-demand data in": ("2506.256104", "200.50048828125"),
        "Kinesis: on-demand data out": ("626.564026", "25.062561035157"),
    }
    rates = {fact.name: fact.value for fact in month.evidence}
    assert rates["average write rate"] == 1000.0
    assert rates["average write volume"] == 250.0


def test_an_idle_month_is_what_aws_says_it_is() -> None:
    # One record in ten seconds: $10.95 a shard and $29.20 on demand, and a trace for the records
    m = measured(accepted=1, bytes=1, payload_units=1, rounded_kib=1, open_shards=1)
    month = month_like_it(m)
    assert month is not None
    assert lines(month.provisioned)["Kinesis: shard-hours"][1] == "10.95"
    assert lines(month.on_demand)["Kinesis: on-demand stream-hours"][1] == "29.20"


def test_a_month_keeps_what_the_retention_keeps() -> None:
    # Given 1 GiB an hour and 14 days of retention: 168 h extended less the day included, 168 h long-term
    m = measured(
        bytes=1 << 30, insert_seconds=3600.0, payload_units=1, rounded_kib=1 << 20, retention_hours=336, open_shards=1
    )
    month = month_like_it(m)
    assert month is not None
    assert lines(month.provisioned)["Kinesis: long-term retention"] == ("168", "3.864")  # x $0.023
    assert lines(month.provisioned)["Kinesis: extended retention"] == ("730", "14.60")  # x $0.020
    assert lines(month.on_demand)["Kinesis: extended retention"] == ("144", "14.40")  # x $0.10


def test_a_month_is_not_guessed() -> None:
    assert month_like_it(measured(insert_seconds=None)) is None
    assert month_like_it(measured(bytes=None)) is None
    assert month_like_it(measured(open_shards=None)) is None
    assert month_like_it(measured(open_shards=None), shards=4) is not None


@given(pico=st.integers(-(10**20), 10**20))
def test_dollars_are_exact_decimal_strings(pico: int) -> None:
    text = usd(pico)
    assert Decimal(text) * PICO == pico
    assert len(text.split(".")[1]) >= 2
    assert "e" not in text.lower()


@given(quantity=st.fractions(0, 10**9), pico=st.integers(0, PICO), per=st.sampled_from([1, 1000, 10**6]))
def test_a_price_is_rounded_up_by_less_than_a_pico_dollar(quantity: Fraction, pico: int, per: int) -> None:
    exact = quantity * pico / per
    assert 0 <= Price(pico, per, "x", "2023-01-01", "x").of(quantity) - exact < 1


def test_every_price_is_dated_and_sourced() -> None:
    prices = price_list("us-east-1").prices
    assert len(prices) == 16
    assert all(
        price.since and price.source.startswith("aws.amazon.com/") and price.pico > 0 for price in prices.values()
    )

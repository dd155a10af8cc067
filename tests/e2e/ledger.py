"""What the ledger must say of a call: what its provider billed, priced by the rates of these tests."""

from decimal import Decimal

from tests.e2e.conftest import RATES
from tests.e2e.upstream import Bill
from tests.integration.conftest import Json

TOKENS = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")


def cost(bill: Bill) -> Decimal:
    """Dollars, exactly."""
    return sum((Decimal(getattr(bill, name)) * Decimal(RATES[name]) / 1_000_000 for name in TOKENS), Decimal(0))


def check(record: Json, bills: list[Bill], **wanted: object) -> None:
    """The record is of the one bill, to the token and the pico-dollar."""
    (bill,) = bills
    assert {name: record[name] for name in TOKENS} == {name: getattr(bill, name) for name in TOKENS}
    assert Decimal(record["cost"]) == cost(bill)
    assert {name: record[name] for name in ("status", "estimated")} == {"status": 200, "estimated": False}
    assert {name: record[name] for name in wanted} == wanted

"""What the tests of packages share: an empty packages table with its indexes, a store over it, and a clock."""

from collections.abc import Iterator

import pytest

from tests.unit.packages.registry import TABLE, Counted, Time, dynamodb
from weir.packages.store import Store
from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Table


@pytest.fixture
def time() -> Time:
    """Noon, until it is moved."""
    return Time()


@pytest.fixture
def clock(time: Time) -> Clock:
    return time.clock


@pytest.fixture
def client() -> Iterator[Counted]:
    """DynamoDB, with every call told."""
    with dynamodb() as made:
        yield made


@pytest.fixture
def table(client: Counted) -> Table:
    return Table(client, TABLE)


@pytest.fixture
def store(table: Table, clock: Clock) -> Store:
    return Store(table, clock)

"""The audit of what admins set up: with the change or not at all, and told page by page, month by month."""

from datetime import timedelta

import pytest

from tests.unit.identity.accounts import Time, person
from tests.unit.usage.fake_dynamodb import FakeDynamoDB
from weir.runtime.audit import KEPT, NOTHING, Asker, Audit, Position
from weir.runtime.dynamodb import Table, Write
from weir.runtime.http import Origin
from weir.usage.shapes import SHAPES

DORA = Asker(person("dora", "admin"), Origin("203.0.113.7", "curl", "r-1"))


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def audit(time: Time) -> Audit:
    return Audit(Table(FakeDynamoDB(), "usage", time.clock), SHAPES, time.clock)


def change(audit: Audit, number: int) -> bool:
    """A change of a thing, which holds once."""
    write = Write(put={"pk": f"CAPS#{number}", "sk": "x"}, when="attribute_not_exists(pk)")
    return audit.write(write, "cap.set", DORA, str(number), NOTHING, {"limit": str(number)})


def told(audit: Audit, limit: int) -> list[list[str]]:
    """The subjects, page by page."""
    pages: list[list[str]] = []
    after: Position | None = None
    while True:
        found, after = audit.page(limit, after)
        pages.append([one.subject for one in found])
        if after is None:
            return pages


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_changes_of_several_months_are_told_newest_first_and_each_once(audit: Audit, time: Time, limit: int) -> None:
    # Given seven changes, some in one month, with months between in which there was none
    for number in range(7):
        assert change(audit, number)
        time.pass_by(timedelta(days=(1, 40, 100)[number % 3]).total_seconds())
    # Then each is told once, in pages that are full but for the last
    pages = told(audit, limit)
    assert [one for page in pages for one in page] == ["6", "5", "4", "3", "2", "1", "0"]
    assert all(len(page) == limit for page in pages[:-1])
    # And nothing of longer ago than it is kept
    time.pass_by((KEPT + timedelta(days=62)).total_seconds())
    assert told(audit, limit) == [[]]


def test_what_was_not_changed_is_not_told(audit: Audit) -> None:
    assert change(audit, 1)
    assert not change(audit, 1)
    assert told(audit, 9) == [["1"]]

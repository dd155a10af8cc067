"""Prices in the table: added, changed and removed one by one, and many at once."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.usage.priced import NOON, TABLE, Recorded, Time, dynamodb, everything, price, rates
from weir.runtime.dynamodb import Table
from weir.runtime.errors import WeirError
from weir.runtime.etags import etag
from weir.usage import price_import
from weir.usage.models import Price
from weir.usage.price_errors import Importing, PriceChanged, PriceExists, PriceNotFound
from weir.usage.price_import import AT_ONCE, LEASE_SECONDS, Imported, take
from weir.usage.price_store import PriceStore

DAY = timedelta(days=1)


@pytest.fixture
def client() -> Iterator[Recorded]:
    with dynamodb() as made:
        yield made


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def store(client: Recorded, time: Time) -> PriceStore:
    return PriceStore(Table(client, TABLE, time.clock), time.clock)


def another(client: Recorded, time: Time) -> PriceStore:
    """A store as another process has it, which remembers nothing."""
    return PriceStore(Table(client, TABLE, time.clock), time.clock)


def listed(store: PriceStore) -> list[tuple[str, int]]:
    """Model and input rate of all prices, in dollars."""
    return [(one.model, one.rates.input // 10**12) for one in store.page(200, None)[0]]


# One by one


def test_a_price_is_read_as_it_was_added(store: PriceStore) -> None:
    # Given a price with all that one can have
    asked = price(region="eu-west-1", long=rates(6, 22, cache_read=60), long_above=128_000, rates=rates(cache_read=30))
    # When it is added / Then it is found by its id and by what it is of
    made = store.add(asked)
    assert made == replace(asked, price_id=made.price_id, revision=made.revision)
    assert store.get(made.price_id) == made
    assert store.of_model("anthropic", "claude") == [made]
    assert store.of_model("anthropic", "clau") == []


def test_no_two_prices_are_of_the_same_from_the_same_moment(store: PriceStore) -> None:
    made = store.add(price())
    with pytest.raises(PriceExists) as told:
        store.add(price(rates=rates(4)))
    assert told.value.members == {"price_id": made.price_id}
    for other in (price(since=NOON + DAY), price(region="eu-west-1"), price(tier="batch"), price(provider="main")):
        store.add(other)
    assert len(store.page(200, None)[0]) == 5


def test_a_price_is_changed_as_it_was_read_or_not_at_all(store: PriceStore) -> None:
    made = store.add(price())
    changed = store.change(made.price_id, price(rates=rates(4)), etag(made.revision))
    assert store.get(made.price_id) == changed
    assert (changed.rates, changed.since, changed.model) == (rates(4), NOON, "claude")
    for stale in (etag(made.revision), '"other"'):
        with pytest.raises(PriceChanged):
            store.change(made.price_id, price(rates=rates(5)), stale)
        with pytest.raises(PriceChanged):
            store.remove(made.price_id, stale)
    assert store.get(made.price_id) == changed


def test_of_two_who_change_a_price_at_once_one_is_told(client: Recorded, store: PriceStore) -> None:
    # Given somebody who changes it between another's read and write
    made = store.add(price())
    real = client.transact_write_items

    def late(**request: Any) -> Any:
        del client.transact_write_items
        store.change(made.price_id, price(rates=rates(5)), None)
        return real(**request)

    client.transact_write_items = late  # type: ignore[method-assign]
    # When the other writes / Then it is refused, though it sent no If-Match
    with pytest.raises(PriceChanged):
        store.change(made.price_id, price(rates=rates(4)), None)
    assert store.get(made.price_id).rates == rates(5)


def test_a_price_that_was_changed_meanwhile_is_not_removed(client: Recorded, store: PriceStore) -> None:
    # Given somebody who changes it between another's read and delete
    made = store.add(price())

    def late(operation: str, request: dict[str, Any]) -> None:
        if operation == "transact_write_items":
            client.before = lambda operation, request: None
            store.change(made.price_id, price(rates=rates(5)), None)

    client.before = late
    with pytest.raises(PriceChanged):
        store.remove(made.price_id, None)
    assert store.get(made.price_id).rates == rates(5)


def test_what_was_removed_is_gone_and_its_tag_with_it(store: PriceStore, time: Time) -> None:
    made = store.add(price())
    store.remove(made.price_id, etag(made.revision))
    for ask in (store.get, lambda one: store.remove(one, None), lambda one: store.change(one, price(), None)):
        with pytest.raises(PriceNotFound):
            ask(made.price_id)
    # When it is added again / Then whoever has read the older one changes nothing
    time.pass_by(1)
    store.add(price())
    with pytest.raises(PriceChanged):
        store.change(made.price_id, price(rates=rates(9)), etag(made.revision))


def test_prices_are_listed_in_order_page_by_page(store: PriceStore) -> None:
    for model in ("c", "a", "b"):
        store.add(price(model))
    store.add(price("a", provider="openai"))
    first, position = store.page(3, None)
    rest, end = store.page(3, position)
    assert [(one.provider, one.model) for one in (*first, *rest)] == [
        *(("anthropic", "a"), ("anthropic", "b"), ("anthropic", "c")),
        ("openai", "a"),
    ]
    assert end is None
    assert [one.model for one in store.page(9, None, "anthropic", "b")[0]] == ["b"]
    assert len(store.page(9, None, "anthropic")[0]) == 3


# Many at once


def many(count: int, dollars: int = 3) -> list[Price]:
    return [price(f"model-{number:04d}", rates=rates(dollars), source="csv") for number in range(count)]


def test_more_prices_than_a_transaction_takes_are_imported(store: PriceStore) -> None:
    done = take(many(AT_ONCE + 1), store)
    assert (done.created, done.changed, done.unchanged) == (AT_ONCE + 1, 0, 0)
    assert store.of_model("anthropic", "model-0100")[0].rates == rates(3)


def test_the_same_again_changes_nothing(client: Recorded, store: PriceStore) -> None:
    take(many(3), store)
    before = everything(client)
    assert take(many(3), store) == Imported("", 0, 0, 3)
    assert everything(client) == before


def test_what_differs_is_changed_and_the_rest_is_left(store: PriceStore, time: Time) -> None:
    store.add(price("model-0000"))
    take(many(2), store)
    done = take([*many(1, dollars=4), *many(3)[1:]], store)
    assert (done.created, done.changed, done.unchanged) == (1, 1, 1)
    assert listed(store) == [("model-0000", 4), ("model-0001", 3), ("model-0002", 3)]


def test_an_imported_price_is_changed_and_removed_like_any_other(store: PriceStore) -> None:
    take(many(2), store)
    first, second = store.page(9, None)[0]
    store.change(first.price_id, price(rates=rates(9)), etag(first.revision))
    store.remove(second.price_id, etag(second.revision))
    assert listed(store) == [("model-0000", 9)]


class Failing:
    """A client of which the call that is the ``number``-th to write fails, before or after it was done."""

    def __init__(self, client: Recorded, number: int, *, done: bool) -> None:
        self._client, self._left, self._done = client, number, done

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        call = getattr(self._client, operation)

        def failing(**request: Any) -> Any:
            if operation not in {"put_item", "delete_item", "transact_write_items"}:
                return call(**request)
            self._left -= 1
            if self._left > 0:
                return call(**request)
            if self._left == 0 and self._done:
                call(**request)
            raise ClientError({"Error": {"Code": "InternalServerError"}}, operation)  # from there on nothing is written

        return failing


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("number", range(1, 6))
def test_an_import_that_breaks_off_anywhere_counts_as_a_whole_or_not_at_all(
    client: Recorded, store: PriceStore, time: Time, monkeypatch: pytest.MonkeyPatch, number: int, done: bool
) -> None:
    # Given prices, and an import of more than a transaction takes, some of them over those
    monkeypatch.setattr(price_import, "AT_ONCE", 2)
    before = [("model-0000", 3), ("other", 3)]
    store.add(price("model-0000"))
    store.add(price("other"))
    wanted = many(4, dollars=4)
    after = [*((one.model, 4) for one in wanted), ("other", 3)]
    # When a write of it fails and the process ends there
    broken = PriceStore(Table(Failing(client, number, done=done), TABLE, time.clock), time.clock)
    is_done = number == 5 or (number == 4 and done)  # lock, two batches, end
    if number == 5:
        take(wanted, broken)
    else:
        with pytest.raises(WeirError):
            take(wanted, broken)
    # Then what anybody sees is what was there, or all of it
    fresh = another(client, time)
    assert _all(fresh) == (after if is_done else before)
    # When the lease is over and it is sent again / Then all of it is there
    time.pass_by(LEASE_SECONDS + 1)
    take(wanted, fresh)
    assert _all(another(client, time)) == after


def test_what_a_broken_import_has_left_is_in_nobodys_way(client: Recorded, store: PriceStore, time: Time) -> None:
    # Given prices, and what an import of others has left before its end
    kept = store.add(price("model-0000"))
    with pytest.raises(WeirError):
        take(many(2, dollars=4), PriceStore(Table(Failing(client, 3, done=False), TABLE, time.clock), time.clock))
    # When somebody changes one of them while its lease lasts / Then they are told to wait
    with pytest.raises(Importing):
        store.change(kept.price_id, price(rates=rates(5)), None)
    with pytest.raises(Importing):
        store.remove(kept.price_id, None)
    with pytest.raises(Importing):
        store.add(price("model-0001"))
    with pytest.raises(Importing):
        take(many(1), store)
    # When it is over / Then they are changed, added and removed as if nothing had been
    time.pass_by(LEASE_SECONDS + 1)
    store.change(kept.price_id, price(rates=rates(5)), etag(kept.revision))
    added = store.add(price("model-0001", rates=rates(6)))
    assert listed(another(client, time)) == [("model-0000", 5), ("model-0001", 6)]
    store.remove(added.price_id, etag(added.revision))
    assert listed(store) == [("model-0000", 5)]


def test_an_import_that_was_overtaken_does_not_come_to_count(
    client: Recorded, store: PriceStore, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an import that stands still before its end for longer than its lease, while another is done
    real = price_import._end

    def late(done: Imported, slow: PriceStore, who: Any) -> None:
        monkeypatch.setattr(price_import, "_end", real)
        time.pass_by(LEASE_SECONDS + 1)
        take(many(3, dollars=7), another(client, time))
        real(done, slow, who)

    monkeypatch.setattr(price_import, "_end", late)
    # When it goes on / Then it is told that nothing was taken, and what counts is the other one
    with pytest.raises(Importing):
        take(many(2, dollars=4), store)
    assert listed(another(client, time)) == [("model-0000", 7), ("model-0001", 7), ("model-0002", 7)]


def test_a_price_that_is_changed_beneath_an_import_stops_it(
    client: Recorded, store: PriceStore, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given somebody who changes a price between the import's read and its write
    kept = store.add(price("model-0001"))
    real = store.table.transact

    def late(writes: Any, token: str | None = None) -> Any:
        monkeypatch.setattr(store.table, "transact", real)
        another(client, time).change(kept.price_id, price(rates=rates(9)), None)
        return real(writes, token)

    monkeypatch.setattr(store.table, "transact", late)
    # Then nothing of the import is taken, and the next may begin at once
    with pytest.raises(Importing):
        take(many(3, dollars=4), store)
    assert listed(store) == [("model-0001", 9)]
    assert take(many(3, dollars=4), store).created == 2


def _all(store: PriceStore) -> list[tuple[str, int]]:
    found, after = [], None
    while True:
        some, after = store.page(200, after)
        found += [(one.model, one.rates.input // 10**12) for one in some]
        if after is None:
            return found

"""What is written of prices today is what the stored shapes say: a new field needs a fixture, or a schema."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.usage.priced import TABLE, Recorded, Time, dynamodb, everything, price, rates
from weir.runtime.dynamodb import Table
from weir.runtime.errors import Unavailable
from weir.runtime.migrations import ShapeUnknown
from weir.usage import price_import
from weir.usage.models import Price
from weir.usage.price_errors import Importing
from weir.usage.price_items import price_before, price_of
from weir.usage.price_store import PriceStore
from weir.usage.shapes import SHAPES

STORED = Path(__file__).parents[1] / "stored" / f"prices.{SHAPES.schema}.json"


@pytest.fixture
def client() -> Iterator[Recorded]:
    with dynamodb() as made:
        yield made


@pytest.fixture
def store(client: Recorded) -> PriceStore:
    clock = Time().clock
    return PriceStore(Table(client, TABLE, clock), clock)


def kept() -> dict[str, dict[str, Any]]:
    """Items as a version of this schema stores them, by what they are."""
    read: dict[str, dict[str, Any]] = json.loads(STORED.read_text())
    return read


def fields(items: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, set[str]]]:
    """The fields of each kind of item, and the types that they have."""
    kinds: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for item in items:
        for name, value in item.items():
            kinds[SHAPES.kind(item)][name].add(type(value).__name__)
    return {kind: dict(told) for kind, told in kinds.items()}


def test_what_is_written_is_what_is_told_of(
    client: Recorded, store: PriceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given prices with all that they can have, an import that has ended, and one that breaks off before its end
    store.add(price(long=rates(6, 22)))
    price_import.take([price("imported")], store)

    def breaks(*_: Any) -> None:
        raise Unavailable("no answer")

    monkeypatch.setattr(price_import, "_end", breaks)
    monkeypatch.setattr(price_import, "_release", breaks)
    with pytest.raises(Unavailable):
        price_import.take([price("imported", rates=rates(4)), price("new")], store)
    # Then what they have written is what is told of
    assert fields(everything(client)) == fields(kept().values())
    assert {item["schema"] for item in everything(client)} == {SHAPES.schema}


def test_what_is_stored_is_read(client: Recorded, store: PriceStore) -> None:
    # Given what a version of this schema has stored, in the midst of an import
    for item in kept().values():
        store.table.put(item)
    # Then the prices count that counted, and the import keeps others from them
    counting = {one.model: one.rates.input // 10**12 for one in store.page(99, None)[0]}
    assert counting == {"plain": 3, "full": 3, "over": 4, "imported": 3}
    with pytest.raises(Importing):
        price_import.take([price()], store)


READ: list[Callable[[Mapping[str, Any]], Price | None]] = [price_of, price_before]


@pytest.mark.parametrize("read", READ)
def test_what_a_newer_version_has_written_is_refused(read: Callable[[Mapping[str, Any]], Price | None]) -> None:
    item = kept()["a price that an import is changing"]
    assert read(item) is not None
    with pytest.raises(ShapeUnknown):
        read({**item, "schema": 99})

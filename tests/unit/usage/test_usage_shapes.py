"""What is written of usage today is what the stored shapes say: a new field needs a fixture, or a schema."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.identity.accounts import person
from tests.unit.usage.history import Past
from tests.unit.usage.metered import EVERYBODY, NOON, Time, cap
from weir.llm.models import Tokens
from weir.runtime.audit import Asker
from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Item
from weir.runtime.http import Origin
from weir.runtime.migrations import ShapeUnknown
from weir.usage.alarming import Alarming
from weir.usage.counters import Place
from weir.usage.metering import Outcome
from weir.usage.models import Attempt, Caller, Subject
from weir.usage.shapes import SHAPES

STORED = Path(__file__).parents[1] / "stored" / f"usage.{SHAPES.schema}.json"
DORA = Asker(person("dora", "admin"), Origin("203.0.113.7", "curl/8.7.1", "c6af9ac6"))
ANN = Caller("ann", "Ann", "k1", ("red",))
OF_PRICES = {"price", "price-import", "price-lock"}
"""Those are in ``test_price_shapes.py``."""

_ANY_NAME = ((re.compile(r"[hdm]\d+[rtc]"), "a count"), (re.compile(r"r#[0-9a-f]+"), "a reservation"))


class Deaf:
    """A topic that nobody follows."""

    def publish(self, subject: str, message: str, attributes: Mapping[str, str]) -> None: ...


def kept() -> dict[str, Item]:
    """Items as a version of this schema stores them, by what they are."""
    read: dict[str, Item] = json.loads(STORED.read_text())
    return read


def fields(items: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, set[str]]]:
    """The fields of each kind of item, and the types that they have."""
    kinds: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for item in items:
        for name, value in item.items():
            told = next((label for pattern, label in _ANY_NAME if pattern.fullmatch(name)), name)
            kinds[SHAPES.kind(item)][told].add(type(value).__name__)
    return {kind: dict(told) for kind, told in kinds.items()}


def lived() -> Past:
    """Calls settled, cut, unpriced, lost and under way, on caps with and without a grace; summed up, and told of."""
    past = Past(0)
    past.store.add(cap(2, enforced_from=NOON - timedelta(days=1), created_by="dora"), DORA)
    past.recorder.refused(cap(2), past.clock.now())
    past.store.add(cap(10**9, "tokens", subject=EVERYBODY))
    tried = Attempt("openai", "gpt", 500, "overloaded", 3)
    cut = Outcome(499, Tokens(1, 2, 3, 4, 5, estimated=True), None, (tried,), 7, 3, cut=True, error="gone")
    past.meter.settle(past.admit(ANN, stream=True), cut)
    past.prices.clear()
    unpriced = past.another()
    past.admit(replace(ANN, user="bob"))
    unpriced.settle(unpriced.admit(past.call(replace(ANN, user="bob"))), Outcome(200, Tokens(1)))
    past.time.pass_by(3600 * 36)
    late = past.another().admit(past.call(ANN))
    past.meter.expire([Place(Subject("user", "bob")), Place(EVERYBODY)])
    past.rolling.roll()
    past.time.pass_by(3601)
    past.meter.settle(late, Outcome(200, Tokens(1)))
    past.admit(replace(ANN, user="cleo"))
    Alarming(past.table, past.counters, Deaf(), past.clock).look([replace(cap(1), limit=1)])
    return past


def test_what_is_written_is_what_is_told_of() -> None:
    items = list(lived().items())
    written, told = fields(items), fields(kept().values())
    assert set(written) == set(told) == set(SHAPES.kinds) - OF_PRICES
    for kind, found in written.items():
        assert found == told[kind], kind
    assert {item["schema"] for item in items} == {SHAPES.schema}


def stored(*changed: str) -> Past:
    """A table that holds what is stored, some kinds as a newer version would."""
    past = Past(0)
    past.client.items.clear()
    for item in kept().values():
        past.table.put({**item, "schema": 99} if SHAPES.kind(item) in changed else item)
    moment = NOON + timedelta(seconds=3600 * 37 + 301)
    past.time = Time()
    past.time.passed = (moment - NOON).total_seconds()
    past.clock = past.time.clock
    return past


def day_of(past: Past) -> Any:
    """What is summed up of a day, once none of its records is late."""
    for mark in list(past.items("LATE")):
        past.table.delete({"pk": mark["pk"], "sk": mark["sk"]})
    return past.told("day", NOON)


def rolled(past: Past) -> Any:
    clock: Clock = past.clock
    rolling = type(past.rolling)(past.table, past.summaries, clock, timedelta(days=400))
    done = rolling.roll()
    return done.late


READ: dict[str, Callable[[Past], Any]] = {
    "counter": lambda past: past.count(EVERYBODY).counts,
    "cap": lambda past: list(past.store.all()),
    "record": lambda past: past.records(),
    "late": rolled,
    "period": day_of,
    "row": day_of,
    "rolled": rolled,
    "audit": lambda past: past.store.audit.page(9, None)[0],
}
"""Each kind's reader; of active users, refusals and alarms the keys alone are read."""


@pytest.mark.parametrize("kind", READ)
def test_what_is_stored_is_read(kind: str) -> None:
    assert READ[kind](stored())


@pytest.mark.parametrize("kind", READ)
def test_what_a_newer_version_has_written_is_refused_by_every_reader(kind: str) -> None:
    with pytest.raises(ShapeUnknown):
        READ[kind](stored(kind))

"""DynamoDB and Secrets Manager for the benchmark of the gateway: their JSON protocol, answered from memory.

Conditions are held against the stored item and updates change it, so that counters count and a write that must not be
done is refused; tables are told apart by their keys alone. Nothing is checked that DynamoDB would check beside that, no
signature, no limit: what it costs is left to the gateway. It counts the calls, and the units as DynamoDB's
ConsumedCapacity has them: a write costs one for each KiB, begun, of the larger of the item before and after it, done or
refused. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html

Run as a process of its own, ``python -m tests.benchmarks.gateway_tables UPSTREAM`` prints its port, on a line before it
the API key of a user who may call the models of ``UPSTREAM``, and serves until its standard input ends. ``GET /counts``
tells the counts.
"""

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from tests.benchmarks.stub import Connection, serve
from weir.identity import key_store
from weir.identity.models import ApiKey, User
from weir.identity.user_store import user_item
from weir.llm.items import provider_item, route_item
from weir.llm.models import Provider, Route, Target
from weir.runtime.dynamodb import Item, plain, wire
from weir.usage.models import Price, Rates
from weir.usage.price_items import price_id_of, price_item

OWNER = "ann2ann3ann4ann5"
SECRET = "bench"
UNIT = 1024
Key = tuple[str, str]

_TARGET = re.compile(rb"\r\nx-amz-target: *\w+\.(\w+)", re.IGNORECASE)
_BETWEEN = re.compile(r"(\S+) BETWEEN (\S+) AND (\S+)")
_WORD = re.compile(r"<>|<=|>=|=|[#:]?[A-Za-z_]\w*")
_CLAUSE = re.compile(r"\b(SET|ADD|REMOVE) (.*?)(?= (?:SET|ADD|REMOVE) |$)")
_NOTHING = float("nan")  # as false beside every number as what is not there
_PYTHONS = {"AND": "and", "OR": "or", "NOT": "not", "=": "==", "<>": "!=", "<=": "<=", ">=": ">="}
_FUNCTIONS: dict[str, Callable[..., bool]] = {
    "attribute_exists": lambda value: value is not _NOTHING,
    "attribute_not_exists": lambda value: value is _NOTHING,
    "begins_with": lambda value, beginning: str(value).startswith(beginning),
}
Holds = Callable[[Mapping[str, Any], Mapping[str, str], Mapping[str, Any]], bool]


def _operand(word: str) -> str:
    """A word of a condition in Python's."""
    if word in _PYTHONS or word in _FUNCTIONS:
        return _PYTHONS.get(word, word)
    if word.startswith(":"):
        return f"values[{word!r}]"
    name = f"names[{word!r}]" if word.startswith("#") else repr(word)
    return f"item.get({name}, nothing)"


@lru_cache(maxsize=1024)
def condition(text: str) -> Holds:
    """A condition as a function of an item, its names and its values: DynamoDB's words are nearly Python's."""
    python = _WORD.sub(lambda word: _operand(word[0]), _BETWEEN.sub(r"(\1 >= \2 AND \1 <= \3)", text))
    code = f"lambda item, names, values: {python}"
    found: Holds = eval(code, {**_FUNCTIONS, "nothing": _NOTHING})
    return found


@lru_cache(maxsize=1024)
def changes(text: str) -> list[tuple[str, list[list[str]]]]:
    """The clauses of an update, each with its parts by word: ``SET #a = :a``, ``ADD #a :a``, ``REMOVE #a``."""
    return [
        (verb, [part.replace("=", " ").split() for part in parts.split(",")]) for verb, parts in _CLAUSE.findall(text)
    ]


def changed(item: Mapping[str, Any], asked: Mapping[str, Any], values: Mapping[str, Any]) -> Item:
    """An item after an update."""
    names, after = asked.get("ExpressionAttributeNames", {}), dict(item)
    for verb, parts in changes(asked["UpdateExpression"]):
        for place, *operands in parts:
            name = names.get(place, place)
            if verb == "REMOVE":
                after.pop(name, None)
            else:
                (operand,) = operands
                after[name] = values[operand] if verb == "SET" else values[operand] + after.get(name, 0)
    return after


def size(value: Any) -> int:
    """Bytes of a value as DynamoDB counts them, of a number about:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    match value:
        case None | bool():
            return 1
        case str():
            return len(value.encode())
        case int():
            return len(str(abs(value))) // 2 + 2
        case bytes():
            return len(value)
        case Mapping():
            return 3 + sum(len(name.encode()) + size(one) + 1 for name, one in value.items())
        case _:
            return 3 + sum(size(one) + 1 for one in value)


def item_size(item: Mapping[str, Any]) -> int:
    """Bytes of an item, which holds itself without the three of a map, and its values without the one of an entry."""
    return sum(len(name.encode()) + size(value) for name, value in item.items())


class Refused(Exception):
    """A condition does not hold."""

    def __init__(self, item: Item | None) -> None:
        super().__init__("The conditional request failed")
        self.item = item


class Tables:
    """All tables as one, by key."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items: dict[Key, Item] = {(item["pk"], item["sk"]): item for item in items}
        self.counts: Counter[str] = Counter()

    def answer(self, operation: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer to a call."""
        self.counts[operation] += 1
        match operation:
            case "UpdateItem":
                return self._update(asked)
            case "PutItem":
                return self._put(asked)
            case "GetItem":
                return self._wired(self._items.get(_key(asked["Key"])))
            case "BatchGetItem":
                ((table, keys),) = asked["RequestItems"].items()
                found = (self._items.get(_key(key)) for key in keys["Keys"])
                return {"Responses": {table: [wire(item) for item in found if item is not None]}, "UnprocessedKeys": {}}
            case "Query":
                return self._query(asked)
            case "GetSecretValue":
                return {"ARN": SECRET, "Name": SECRET, "SecretString": SECRET}
            case _:
                raise ValueError(f"the stub does not know {operation}")

    def _wired(self, item: Item | None) -> Mapping[str, Any]:
        return {} if item is None else {"Item": wire(item)}

    def _query(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        holds, names = condition(asked["KeyConditionExpression"]), asked.get("ExpressionAttributeNames", {})
        values, needed = plain(asked["ExpressionAttributeValues"]), set(names.values())
        found = [one for one in self._items.values() if needed <= one.keys() and holds(one, names, values)]
        return {"Items": [wire(item) for item in found], "Count": len(found), "ScannedCount": len(found)}

    def _update(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        values = plain(asked.get("ExpressionAttributeValues", {}))
        key = _key(asked["Key"])
        after = changed(self._checked(key, asked, values) or plain(asked["Key"]), asked, values)
        told = {"Attributes": wire(after)} if asked["ReturnValues"] == "ALL_NEW" else {}
        return self._written(key, after, asked) | told

    def _put(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        item, key = plain(asked["Item"]), _key(asked["Item"])
        self._checked(key, asked, plain(asked.get("ExpressionAttributeValues", {})))
        return self._written(key, item, asked)

    def _checked(self, key: Key, asked: Mapping[str, Any], values: Mapping[str, Any]) -> Item | None:
        """The item there, where the condition holds."""
        there, wanted = self._items.get(key), asked.get("ConditionExpression")
        names = asked.get("ExpressionAttributeNames", {})
        if wanted is not None and not condition(wanted)(there or {}, names, values):
            self.counts["write_units"] += _units(there or {})
            raise Refused(there)
        return there

    def _written(self, key: Key, item: Item, asked: Mapping[str, Any]) -> dict[str, Any]:
        units = max(_units(self._items.get(key, {})), _units(item))
        self.counts["write_units"] += units
        self._items[key] = item
        told = {"TableName": asked["TableName"], "CapacityUnits": units}
        return {"ConsumedCapacity": told} if "ReturnConsumedCapacity" in asked else {}


def _key(key: Mapping[str, Any]) -> Key:
    return key["pk"]["S"], key["sk"]["S"]


def _units(item: Mapping[str, Any]) -> int:
    return max(1, -(-item_size(item) // UNIT))


def items(upstream: str, text: str, key_id: str) -> list[Item]:
    """What the gateway finds: a user and their key, a provider and a route of each format, and what the models cost."""
    now = datetime.now(UTC)
    user = User(OWNER, "ann", now, roles=("operator",))
    hashed = key_store.hashed(text, SECRET.encode())
    key = ApiKey(key_id, OWNER, "bench", ("models:invoke",), now, secret_hash=hashed, last_used_at=now)
    found = [user_item(user), key_store.key_item(key)]
    for kind, address, model in (("anthropic", upstream, "claude-bench"), ("openai", f"{upstream}/v1", "gpt-bench")):
        provider = Provider(kind, kind, address, secret_arn=SECRET, private_networks=("127.0.0.1/32",))  # type: ignore[arg-type]
        rates = Rates(3 * 10**12, 15 * 10**12, 3 * 10**11, 375 * 10**10, 6 * 10**12)
        price = Price(price_id_of(kind, model, "", "standard", now), kind, model, now, rates)
        found += [provider_item(provider), route_item(Route(model, (Target(kind, model),))), price_item(price)]
    return found


class Answers(Connection):
    """A connection to the tables."""

    tables: Tables

    def respond(self, head: bytes, body: bytes) -> None:
        """Answer a call, or tell the counts."""
        target = _TARGET.search(head)
        if target is None:
            self.send(json.dumps(self.tables.counts).encode(), b"application/json")
            return
        try:
            answer = self.tables.answer(target[1].decode(), json.loads(body))
        except Refused as error:
            told = {"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "message": str(error)}
            item = {"Item": wire(error.item)} if error.item is not None else {}
            self.send(json.dumps({**told, **item}).encode(), b"application/x-amz-json-1.0", b"400 Bad Request")
            return
        self.send(json.dumps(answer).encode(), b"application/x-amz-json-1.0")


def main(upstream: str) -> None:
    """Tell the key, and serve."""
    key_id = key_store.new_key_id()
    text = key_store.new_text(OWNER, key_id)
    Answers.tables = Tables(items(upstream, text, key_id))
    print(text, flush=True)
    asyncio.run(serve(Answers))


if __name__ == "__main__":
    main(sys.argv[1])

"""DynamoDB in memory: one table, each write under its condition at one moment, as DynamoDB does it, for many threads.

It reads the expressions themselves, and refuses as DynamoDB would what is not used in them or changed twice. That what
it takes is what DynamoDB takes, the tests on the local AWS show. ``units`` are the write units that were used:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

import re
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from botocore.exceptions import ClientError

Wired = dict[str, Any]
_TOKEN = re.compile(r"\s*(<=|>=|<>|[=<>(),+-]|[#:]?\w+)")
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda one, other: one == other,
    "<>": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


class FakeDynamoDB:
    """A botocore DynamoDB client of one table. ``called`` names the operations, ``before`` may raise ahead of each.

    ``lost`` is how many of the next writes are done, but their answers never come.
    """

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Wired] = {}
        self._sorted: dict[str, dict[str, Wired]] = {}  # the same by partition, to be found in time
        self.called: list[str] = []
        self.units = 0
        self.lost: dict[str, int] = {}
        self.before: Callable[[str, Wired], None] = lambda operation, request: None
        self._lock = threading.RLock()

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        if operation.startswith("_"):
            raise AttributeError(operation)
        work = getattr(self, f"_{operation}")

        def call(**request: Any) -> Any:
            self.before(operation, request)
            with self._lock:
                self.called.append(operation)
                answer = work(request)
                if self.lost.get(operation, 0):
                    self.lost[operation] -= 1
                    work(request)  # botocore sends the same call again, and that answer comes
            return answer

        return call

    def writes(self) -> list[str]:
        """The names of the write calls."""
        return [one for one in self.called if one in {"put_item", "update_item", "delete_item", "transact_write_items"}]

    def _get_item(self, request: Wired) -> Wired:
        assert request["ConsistentRead"]
        found = self.items.get(_key(request["Key"]))
        return {"Item": dict(found)} if found else {}

    def _batch_get_item(self, request: Wired) -> Wired:
        ((table, wanted),) = request["RequestItems"].items()
        keys = [_key(one) for one in wanted["Keys"]]
        assert 0 < len(set(keys)) == len(keys) <= 100
        return {"Responses": {table: [dict(self.items[one]) for one in keys if one in self.items]}}

    def _put_item(self, request: Wired) -> Wired:
        key = _key(request["Item"])
        self._check(request, key, _Expressions(request).condition())
        self._store(key, dict(request["Item"]))
        return {}

    def _update_item(self, request: Wired) -> Wired:
        key = _key(request["Key"])
        told = _Expressions(request)
        condition, change = told.condition(), told.update()
        told.check_used()
        self._check(request, key, condition)
        self._store(key, change({**self.items.get(key, {}), **request["Key"]}))
        return {"Attributes": dict(self.items[key])} if request["ReturnValues"] == "ALL_NEW" else {}

    def _delete_item(self, request: Wired) -> Wired:
        key = _key(request["Key"])
        self._check(request, key, _Expressions(request).condition())
        gone = self._drop(key)
        self.units += _units(gone or {})
        return {"Attributes": gone} if gone else {}

    def _transact_write_items(self, request: Wired) -> Wired:
        writes = [next(iter(one.items())) for one in request["TransactItems"]]
        keys = [_key(one.get("Item") or one["Key"]) for _, one in writes]
        assert len(set(keys)) == len(keys) <= 100
        held = [
            _Expressions(one).condition()(self.items.get(key, {})) for key, (_, one) in zip(keys, writes, strict=True)
        ]
        if not all(held):
            reasons = [{"Code": "None" if one else "ConditionalCheckFailed"} for one in held]
            response: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise ClientError(response, "a transaction")
        for key, (kind, one) in zip(keys, writes, strict=True):
            if kind == "Put":
                self._store(key, dict(one["Item"]))
            else:
                assert kind == "Delete", kind
                self._drop(key)
        return {}

    def _batch_write_item(self, request: Wired) -> Wired:
        ((_, writes),) = request["RequestItems"].items()
        assert 0 < len(writes) <= 25
        for one in writes:
            if "PutRequest" in one:
                self._store(_key(one["PutRequest"]["Item"]), dict(one["PutRequest"]["Item"]))
            else:
                self._drop(_key(one["DeleteRequest"]["Key"]))
        return {"UnprocessedItems": {}}

    def _query(self, request: Wired) -> Wired:
        told = _Expressions(request)
        holds = told.condition("KeyConditionExpression")
        told.check_used()
        order = ("list", "at") if "IndexName" in request else ("pk", "sk")
        assert request["ConsistentRead"] == ("IndexName" not in request)
        partition = self._sorted.get(request["ExpressionAttributeValues"].get(":pk", {}).get("S", ""), {})
        looked = partition.values() if order[0] == "pk" else self.items.values()
        rows = [one for one in looked if order[0] in one and holds(one)]
        rows.sort(key=lambda one: (one[order[1]]["S"], _key(one)), reverse=not request["ScanIndexForward"])
        if "ExclusiveStartKey" in request:
            names = [_key(one) for one in rows]
            rows = rows[names.index(_key(request["ExclusiveStartKey"])) + 1 :]
        page = rows[: request["Limit"]]
        more = len(rows) > len(page)
        last = {name: page[-1][name] for name in dict.fromkeys((*order, "pk", "sk"))} if more else None
        return {"Items": [dict(one) for one in page], **({"LastEvaluatedKey": last} if last else {})}

    def _check(self, request: Wired, key: tuple[str, str], holds: Callable[[Wired], bool]) -> None:
        there = self.items.get(key)
        if not holds(there or {}):
            self.units += max(1, _units(there or {}))
            response: Any = {"Error": {"Code": "ConditionalCheckFailedException"}}
            if there and request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
                response["Item"] = dict(there)
            raise ClientError(response, "a write")

    def _store(self, key: tuple[str, str], item: Wired) -> None:
        self.units += max(_units(item), _units(self.items.get(key, {})))
        self.items[key] = self._sorted.setdefault(key[0], {})[key[1]] = item

    def _drop(self, key: tuple[str, str]) -> Wired | None:
        self._sorted.get(key[0], {}).pop(key[1], None)
        return self.items.pop(key, None)


class _Expressions:
    """The expressions of a request, read token by token."""

    def __init__(self, request: Wired) -> None:
        self._request = request
        self._names = request.get("ExpressionAttributeNames", {})
        self._values = request.get("ExpressionAttributeValues", {})
        self._used: set[str] = set()
        self._left: list[str] = []

    def check_used(self) -> None:
        unused = {*self._names, *self._values} - self._used
        assert not unused, f"ValidationException: not used in expressions: {unused}"

    def condition(self, field: str = "ConditionExpression") -> Callable[[Wired], bool]:
        if field not in self._request:
            return lambda item: True
        self._left = list(_tokens(self._request[field]))
        holds = self._either()
        assert not self._left, self._left
        return holds

    def update(self) -> Callable[[Wired], Wired]:
        self._left = list(_tokens(self._request["UpdateExpression"]))
        steps: list[Callable[[Wired, Wired], None]] = []
        changed: list[str] = []
        while self._left:
            verb = self._left.pop(0)
            while True:
                path = self._path()
                changed.append(path)
                steps.append(self._step(verb, path))
                if not self._left or self._left[0] != ",":
                    break
                self._left.pop(0)
        assert len(set(changed)) == len(changed), f"ValidationException: paths overlap: {changed}"

        def change(item: Wired) -> Wired:
            made = dict(item)
            for step in steps:
                step(item, made)
            return made

        return change

    def _step(self, verb: str, path: str) -> Callable[[Wired, Wired], None]:
        if verb == "REMOVE":
            return lambda item, made: made.pop(path, None) and None
        if verb == "ADD":
            value = self._value()
            return lambda item, made: made.update({path: _sum(item.get(path), value)})
        assert verb == "SET", verb
        assert self._left.pop(0) == "="
        value = self._value()
        return lambda item, made: made.update({path: value})

    def _either(self) -> Callable[[Wired], bool]:
        parts = [self._all()]
        while self._left and self._left[0] == "OR":
            self._left.pop(0)
            parts.append(self._all())
        return lambda item: any(part(item) for part in parts)

    def _all(self) -> Callable[[Wired], bool]:
        parts = [self._one()]
        while self._left and self._left[0] == "AND":
            self._left.pop(0)
            parts.append(self._one())
        return lambda item: all(part(item) for part in parts)

    def _one(self) -> Callable[[Wired], bool]:
        if self._left[0] == "(":
            self._left.pop(0)
            inner = self._either()
            assert self._left.pop(0) == ")"
            return inner
        if self._left[1] == "(":
            return self._function()
        path, compared = self._path(), self._left.pop(0)
        if compared == "BETWEEN":
            low = self._value()
            assert self._left.pop(0) == "AND"
            high = self._value()
            return lambda item: path in item and _plain(low) <= _plain(item[path]) <= _plain(high)
        value = self._value()
        return lambda item: path in item and _COMPARED[compared](_plain(item[path]), _plain(value))

    def _function(self) -> Callable[[Wired], bool]:
        name = self._left.pop(0)
        assert self._left.pop(0) == "("
        path = self._path()
        if name == "begins_with":
            assert self._left.pop(0) == ","
            value = self._value()
            assert self._left.pop(0) == ")"
            return lambda item: path in item and str(_plain(item[path])).startswith(str(_plain(value)))
        assert self._left.pop(0) == ")"
        if name == "attribute_exists":
            return lambda item: path in item
        assert name == "attribute_not_exists", name
        return lambda item: path not in item

    def _path(self) -> str:
        token = self._left.pop(0)
        if not token.startswith("#"):
            assert token not in {"list", "at", "ttl", "error", "window", "limit", "key"}, f"a reserved word: {token}"
            return token
        self._used.add(token)
        return str(self._names[token])

    def _value(self) -> Any:
        token = self._left.pop(0)
        self._used.add(token)
        return self._values[token]


@lru_cache(maxsize=1024)
def _tokens(expression: str) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(expression))


def _key(item: Wired) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]


def _plain(value: Wired) -> Any:
    ((kind, raw),) = value.items()
    return int(raw) if kind == "N" else raw


def _sum(before: Wired | None, value: Wired) -> Wired:
    return {"N": str((int(before["N"]) if before else 0) + int(value["N"]))}


def _units(item: Wired) -> int:
    return -(-sum(len(name.encode()) + _size(value) for name, value in item.items()) // 1024)


def _size(value: Wired) -> int:
    ((kind, raw),) = value.items()
    match kind:
        case "N":
            return len(raw.lstrip("-")) // 2 + 2
        case "M":
            return 3 + sum(len(name) + _size(one) + 1 for name, one in raw.items())
        case "L":
            return 3 + sum(_size(one) + 1 for one in raw)
        case "NULL" | "BOOL":
            return 1
        case _:
            return len(str(raw).encode())

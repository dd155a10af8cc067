"""DynamoDB in memory, for tests that go through thousands of cases: reads, conditional writes, transactions.

It knows the expressions that the use cases of files send, and no others; that DynamoDB takes them is what the tests on
moto show, which run the same use cases.
"""

import re
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

Wired = dict[str, Any]
_EQUALS = re.compile(r"#?(\w+) = (:\w+)")
_SETS = re.compile(r"SET (\w+ = :\w+)(, \w+ = :\w+)*")
_AT_LEAST = re.compile(r"#(\w+) >= (:\w+)")
_ONE_MORE = re.compile(r"SET (#\w+) = \1 \+ (:\w+)")


class FakeTable:
    """A botocore DynamoDB client of one table. ``called`` names the operations."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Wired] = {}
        self.called: list[str] = []

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        if operation.startswith("_"):
            raise AttributeError(operation)
        work = getattr(self, f"_{operation}")

        def call(**request: Any) -> Any:
            self.called.append(operation)
            return work(request)

        return call

    def _get_item(self, request: Wired) -> Wired:
        assert request["ConsistentRead"]
        found = self.items.get(_key(request["Key"]))
        return {"Item": dict(found)} if found else {}

    def _batch_get_item(self, request: Wired) -> Wired:
        ((table, wanted),) = request["RequestItems"].items()
        assert wanted["ConsistentRead"]
        found = [self.items.get(_key(one)) for one in wanted["Keys"]]
        return {"Responses": {table: [dict(one) for one in found if one]}}

    def _put_item(self, request: Wired) -> Wired:
        if not self._holds(request, request["Item"]):
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "PutItem")
        self.items[_key(request["Item"])] = dict(request["Item"])
        return {}

    def _update_item(self, request: Wired) -> Wired:
        if not self._holds(request, request["Key"]):
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "UpdateItem")
        assert _SETS.fullmatch(request["UpdateExpression"]), request["UpdateExpression"]
        values = request["ExpressionAttributeValues"]
        changed = {name: values[value] for name, value in _EQUALS.findall(request["UpdateExpression"])}
        self.items[_key(request["Key"])] |= changed
        return {"Attributes": dict(self.items[_key(request["Key"])])}

    def _delete_item(self, request: Wired) -> Wired:
        if not self._holds(request, request["Key"]):
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "DeleteItem")
        gone = self.items.pop(_key(request["Key"]), None)
        return {"Attributes": gone} if gone else {}

    def _query(self, request: Wired) -> Wired:
        assert request["KeyConditionExpression"] == "pk = :pk AND begins_with(sk, :begin)"
        partition, begin = (request["ExpressionAttributeValues"][name]["S"] for name in (":pk", ":begin"))
        found = sorted(key for key in self.items if key[0] == partition and key[1].startswith(begin))
        return {"Items": [dict(self.items[key]) for key in found]}

    def _transact_write_items(self, request: Wired) -> Wired:
        writes = [next(iter(one.items())) for one in request["TransactItems"]]
        keys = [_key(write["Item"] if kind == "Put" else write["Key"]) for kind, write in writes]
        assert len(set(keys)) == len(keys) <= 100, "DynamoDB takes no two writes of an item, nor more than 100"
        held = [self._holds(write, write["Item"] if kind == "Put" else write["Key"]) for kind, write in writes]
        if not all(held):
            reasons = [{"Code": "None" if one else "ConditionalCheckFailed"} for one in held]
            response: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise ClientError(response, "TransactWriteItems")
        for (kind, write), key in zip(writes, keys, strict=True):
            if kind == "Put":
                self.items[key] = dict(write["Item"])
            elif kind == "Update":
                self.items[key] = _one_more(self.items[key], write)
            elif kind == "Delete":
                self.items.pop(key, None)
        return {}

    def _scan(self, request: Wired) -> Wired:
        return {"Items": [dict(one) for one in self.items.values()]}

    def _holds(self, write: Wired, key: Wired) -> bool:
        there = self.items.get(_key(key))
        for condition in write["ConditionExpression"].split(" AND ") if "ConditionExpression" in write else ():
            if condition == "attribute_not_exists(pk)":
                if there is not None:
                    return False
                continue
            least = _AT_LEAST.fullmatch(condition)
            if least:
                if there is None or int(there[least[1]]["N"]) < int(write["ExpressionAttributeValues"][least[2]]["N"]):
                    return False
                continue
            compared = _EQUALS.fullmatch(condition)
            assert compared, condition
            if there is None or there.get(compared[1]) != write["ExpressionAttributeValues"][compared[2]]:
                return False
        return True


def _key(item: Wired) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]


def _one_more(item: Wired, write: Wired) -> Wired:
    changed = _ONE_MORE.fullmatch(write["UpdateExpression"])
    assert changed, write["UpdateExpression"]
    name = write["ExpressionAttributeNames"][changed[1]]
    more = int(write["ExpressionAttributeValues"][changed[2]]["N"])
    return {**item, name: {"N": str(int(item[name]["N"]) + more)}}

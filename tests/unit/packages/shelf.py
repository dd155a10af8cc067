"""DynamoDB in memory for tens of thousands of items: reads by key and queries, and how many items they have read.

It takes the key conditions that lists send and no others; that DynamoDB takes them is what the tests on moto show.
"""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from weir.runtime.dynamodb import Item, plain, wire

_INDEXES = {None: ("pk", "sk"), "listing": ("list", "at"), "owned": ("owner", "at")}
_CONDITION = re.compile(
    r"(#?\w+) = (:\w+)"
    r"(?: AND (?:begins_with\((#?\w+), (:\w+)\)|(#?\w+) < (:\w+)|(#?\w+) BETWEEN (:\w+) AND (:\w+)))?"
)
_TOP = "\U0010ffff"


class Shelf:
    """A botocore DynamoDB client of one table. ``called`` names the operations, ``read`` counts items."""

    def __init__(self, stored: Iterable[Item]) -> None:
        self.called: list[str] = []
        self.read = 0
        self._items: dict[tuple[str, str], Item] = {}
        self._sorted: dict[tuple[str | None, str], list[tuple[str, Item]]] = defaultdict(list)
        for item in stored:
            self._items[item["pk"], item["sk"]] = item
            for index, (of, by) in _INDEXES.items():
                if of in item and by in item:
                    self._sorted[index, item[of]].append((item[by], item))
        for entries in self._sorted.values():
            entries.sort(key=lambda entry: entry[0])

    def get_item(self, Key: Any, **_: Any) -> dict[str, Any]:  # noqa: N803
        self.called.append("get_item")
        found = self._items.get((Key["pk"]["S"], Key["sk"]["S"]))
        self.read += found is not None
        return {"Item": wire(found)} if found else {}

    def batch_get_item(self, RequestItems: Any) -> dict[str, Any]:  # noqa: N803
        self.called.append("batch_get_item")
        ((name, asked),) = RequestItems.items()
        keys = [(key["pk"]["S"], key["sk"]["S"]) for key in asked["Keys"]]
        assert 0 < len(set(keys)) == len(keys) <= 100
        found = [wire(self._items[key]) for key in keys if key in self._items]
        self.read += len(found)
        return {"Responses": {name: found}}

    def query(self, **request: Any) -> dict[str, Any]:
        self.called.append("query")
        index = request.get("IndexName")
        of, by = _INDEXES[index]
        values = plain(request["ExpressionAttributeValues"])
        names = request.get("ExpressionAttributeNames", {})
        condition = _CONDITION.fullmatch(request["KeyConditionExpression"])
        assert condition is not None
        told = [names.get(name, name) for name in condition.group(1, 3, 5, 7) if name]
        assert told == [of, by][: len(told)]
        entries = self._sorted[index, values[condition[2]]]
        low, high = self._range(entries, *(values.get(condition[group]) for group in (4, 6, 8, 9)))
        step = 1 if request["ScanIndexForward"] else -1
        if "ExclusiveStartKey" in request:
            after = plain(request["ExclusiveStartKey"])
            assert set(after) == {"pk", "sk", of, by}
            low, high = _after(entries, after[by], low, high, step)
        chosen = entries[low:high][::step]
        answered = [item for _, item in chosen[: request["Limit"]]]
        self.read += len(answered)
        goes_on = len(chosen) >= request["Limit"]
        last = (
            {"LastEvaluatedKey": wire({name: answered[-1][name] for name in {"pk", "sk", of, by}})} if goes_on else {}
        )
        return {"Items": [wire(item) for item in answered], **last}

    @staticmethod
    def _range(
        entries: list[tuple[str, Item]], begin: str | None, below: str | None, lowest: str | None, highest: str | None
    ) -> tuple[int, int]:
        def place(text: str) -> int:
            return bisect_left(entries, text, key=lambda entry: entry[0])

        if begin is not None:
            assert begin, "DynamoDB takes no empty text in a key"
            return place(begin), place(begin + _TOP)
        if lowest is not None and highest is not None:
            return place(lowest), bisect_right(entries, highest, key=lambda entry: entry[0])
        return 0, len(entries) if below is None else place(below)


def _after(entries: list[tuple[str, Item]], text: str, low: int, high: int, step: int) -> tuple[int, int]:
    if step == 1:
        return max(low, bisect_right(entries, text, key=lambda entry: entry[0])), high
    return low, min(high, bisect_left(entries, text, key=lambda entry: entry[0]))

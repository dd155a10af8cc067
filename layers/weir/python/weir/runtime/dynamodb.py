"""DynamoDB: one table, spoken to in plain Python values.

Items are dicts of str, int, bool, None, bytes, lists and dicts; numbers are integers (money is in pico-dollars).
A condition that does not hold is an answer here, not an exception: what races is decided by it. Every method raises
the WeirError of ``aws.translate`` where DynamoDB refuses or fails.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from weir.runtime import aws
from weir.runtime.clock import SYSTEM, Clock
from weir.runtime.errors import Unavailable

Item = dict[str, Any]
T = TypeVar("T")
_TRIES = 4
_AGAIN = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
"""Reasons for which a transaction was cancelled that another try may not meet."""


class Contended(Unavailable):
    """Somebody else is writing the same item at this moment; nothing was written. Another try may not meet them."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a transaction: ``put`` an item, or change or delete the one at ``key``, on a condition.

    With ``check`` the condition is all: the item at ``key`` stays as it is.
    """

    put: Mapping[str, Any] | None = None
    key: Mapping[str, str] | None = None
    changes: str | None = None
    when: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    check: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a conditional write came to: ``item`` is the new one where it was done, else the one that forbade it."""

    done: bool
    item: Item | None


class Table:
    """A DynamoDB table. ``client`` is botocore's; all reads by key are strongly consistent."""

    def __init__(self, client: Any, name: str, clock: Clock = SYSTEM) -> None:
        self._client, self._name, self._clock = client, name, clock

    def get(self, key: Mapping[str, str]) -> Item | None:
        """The item of a primary key."""
        with _told("reading an item"):
            answer = self._client.get_item(TableName=self._name, Key=wire(key), ConsistentRead=True)
        return plain(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Sequence[Mapping[str, str]]) -> list[Item]:
        """The items of up to 100 primary keys that there are, in one call; in no order.

        What DynamoDB leaves out, for it throttles or the answer is long, is asked for again; Unavailable where the
        fourth answer still leaves some out.
        """
        left, found = [wire(key) for key in keys], []
        for tried in range(_TRIES):
            if tried:
                self._clock.sleep(random.uniform(0.05, 0.15))
            with _told("reading items"):
                answer = self._client.batch_get_item(RequestItems={self._name: {"Keys": left, "ConsistentRead": True}})
            found += [plain(item) for item in answer["Responses"].get(self._name, [])]
            left = answer.get("UnprocessedKeys", {}).get(self._name, {}).get("Keys", [])
            if not left:
                return found
        raise Unavailable("DynamoDB is busy; try again shortly.", retry_after=1)

    def put_new(self, item: Mapping[str, Any]) -> bool:
        """Store an item unless one of its key is there."""
        return self.put(item, when="attribute_not_exists(pk)").done

    def put(
        self,
        item: Mapping[str, Any],
        when: str | None = None,
        values: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Store an item, over the one that may be there."""
        request = {"TableName": self._name, "Item": wire(item), **_condition(when, values, names)}
        return self._conditional(self._client.put_item, request, dict(item))

    def update(
        self,
        key: Mapping[str, str],
        changes: str,
        when: str | None = None,
        values: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
        *,
        returned: bool = True,
    ) -> Outcome:
        """Change an item (an UpdateExpression); made where it is not there, unless ``when`` forbids that.

        Without ``returned`` the outcome of what was done has no item: a large one costs time to send and to read.
        """
        request = {
            "TableName": self._name,
            "Key": wire(key),
            "UpdateExpression": changes,
            "ReturnValues": "ALL_NEW" if returned else "NONE",
            **_condition(when, values, names),
        }
        return self._conditional(self._client.update_item, request, None)

    def delete(
        self,
        key: Mapping[str, str],
        when: str | None = None,
        values: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Delete an item; ``item`` is what was deleted, None where there was nothing."""
        request = {
            "TableName": self._name,
            "Key": wire(key),
            "ReturnValues": "ALL_OLD",
            **_condition(when, values, names),
        }
        return self._conditional(self._client.delete_item, request, None)

    def transact(self, writes: Sequence[Write], token: str | None = None) -> tuple[bool, ...]:
        """Do all writes or none: empty where done, else for each write whether its condition held.

        ``token`` (up to 36 characters) makes the same call again within 10 minutes harmless, whatever it answered.
        """
        request: dict[str, Any] = {"TransactItems": [self._transacted(write) for write in writes]}
        if token is not None:
            request["ClientRequestToken"] = token
        try:
            self._client.transact_write_items(**request)
        except Exception as error:
            reasons = _reasons(error)
            if not reasons or any(code not in {"None", "ConditionalCheckFailed"} for code in reasons):
                raise _translated(error, "writing items") from error
            return tuple(code == "None" for code in reasons)
        return ()

    def page(
        self,
        where: str,
        values: Mapping[str, Any],
        *,
        limit: int,
        after: Mapping[str, Any] | None = None,
        index: str | None = None,
        descending: bool = False,
        names: Mapping[str, str] | None = None,
    ) -> tuple[list[Item], Item | None]:
        """A page of a query (a KeyConditionExpression) and the key to go on after; None on the last.

        Reads of an index are eventually consistent, as DynamoDB has it.
        """
        request: dict[str, Any] = {
            "TableName": self._name,
            "KeyConditionExpression": where,
            "ExpressionAttributeValues": wire({f":{name}": value for name, value in values.items()}),
            "Limit": limit,
            "ScanIndexForward": not descending,
            "ConsistentRead": index is None,
        }
        if names:
            request["ExpressionAttributeNames"] = {f"#{name}": value for name, value in names.items()}
        if index is not None:
            request["IndexName"] = index
        if after is not None:
            request["ExclusiveStartKey"] = wire(after)
        with _told("listing items"):
            answer = self._client.query(**request)
        last = answer.get("LastEvaluatedKey")
        return [plain(item) for item in answer["Items"]], plain(last) if last else None

    def all(self, where: str, values: Mapping[str, Any], **options: Any) -> Iterable[Item]:
        """Every item of a query, page by page."""
        after: Item | None = None
        while True:
            items, after = self.page(where, values, limit=1000, after=after, **options)
            yield from items
            if after is None:
                return

    def _conditional(self, call: Any, request: Mapping[str, Any], stored: Item | None) -> Outcome:
        on_failure = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"} if "ConditionExpression" in request else {}
        try:
            answer = call(**request, **on_failure)
        except Exception as error:
            if aws.error_code(error) != "ConditionalCheckFailedException":
                raise _translated(error, "writing an item") from error
            found = getattr(error, "response", {}).get("Item")
            return Outcome(False, plain(found) if found else None)
        attributes = answer.get("Attributes")
        return Outcome(True, plain(attributes) if attributes else stored)

    def _transacted(self, write: Write) -> dict[str, Any]:
        told = {"TableName": self._name, **_condition(write.when, write.values, write.names)}
        if write.put is not None:
            return {"Put": {**told, "Item": wire(write.put)}}
        key = wire(write.key or {})
        if write.check:
            return {"ConditionCheck": {**told, "Key": key}}
        if write.changes is not None:
            return {"Update": {**told, "Key": key, "UpdateExpression": write.changes}}
        return {"Delete": {**told, "Key": key}}


def again(write: Callable[[], T], clock: Clock) -> T:
    """A write that others may be in the way of: they are done in a moment, and what they did decides.

    Contended where they still are at the fourth try.
    """
    for _ in range(_TRIES - 1):
        try:
            return write()
        except Contended:
            clock.sleep(random.uniform(0.05, 0.15))
    return write()


def wire(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as DynamoDB takes it."""
    return {name: _typed(value) for name, value in item.items()}


def plain(item: Mapping[str, Any]) -> Item:
    """An item of DynamoDB's in plain values."""
    return {name: _untyped(value) for name, value in item.items()}


def _typed(value: Any) -> dict[str, Any]:
    match value:  # what there is most of first
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case None:
            return {"NULL": True}
        case bytes():
            return {"B": value}
        case Mapping():
            return {"M": wire(value)}
        case list() | tuple():
            return {"L": [_typed(one) for one in value]}
        case _:
            raise TypeError(f"{type(value).__name__} is no value of an item")


def _untyped(value: Mapping[str, Any]) -> Any:
    ((kind, raw),) = value.items()
    match kind:
        case "S":
            return raw
        case "N":
            return int(raw)
        case "NULL":
            return None
        case "M":
            return plain(raw)
        case "L":
            return [_untyped(one) for one in raw]
        case _:
            return raw


def _condition(when: str | None, values: Mapping[str, Any] | None, names: Mapping[str, str] | None) -> dict[str, Any]:
    """A condition with its values (``:name``) and names (``#name``), each given without its mark."""
    told: dict[str, Any] = {}
    if when is not None:
        told["ConditionExpression"] = when
    if values:
        told["ExpressionAttributeValues"] = wire({f":{name}": value for name, value in values.items()})
    if names:
        told["ExpressionAttributeNames"] = {f"#{name}": value for name, value in names.items()}
    return told


def _reasons(error: BaseException) -> list[str]:
    response = getattr(error, "response", None) or {}
    return [str(reason.get("Code")) for reason in response.get("CancellationReasons", [])]


def _translated(error: Exception, doing: str) -> Exception:
    if not _AGAIN.isdisjoint(_reasons(error)) or aws.error_code(error) == "TransactionConflictException":
        return Contended("Somebody else is changing the same thing, or DynamoDB is busy; try again.", retry_after=1)
    return aws.translate(error, doing) if aws.is_aws_error(error) else error


class _told:  # noqa: N801 - reads as a statement: with _told("reading an item")
    """Turn what botocore raises into a WeirError."""

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        if isinstance(error, Exception) and aws.is_aws_error(error):
            raise aws.translate(error, self._doing) from error

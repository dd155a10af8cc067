"""Makes moto quicker, and changes nothing of what it answers: on its DynamoDB most of the tests' time was spent.

``moto.core.serialize`` looks for each member of each structure under four names or more, though a value of an item has
one of ten members. ``transact_write_items`` copies the whole table for each of its writes, though one copy is kept. And
each call looks anew for what its service can do.
"""

import copy
import threading
import types
from functools import cache
from typing import Any

from moto.core import responses
from moto.core.serialize import ResponseSerializer
from moto.dynamodb import models
from moto.dynamodb.models.table import Table

_member = ResponseSerializer._serialize_structure_member
_names = responses.method_names_from_class
_transact = models.DynamoDBBackend.transact_write_items
_transaction = threading.local()


def install() -> None:
    """Have moto so in this process."""
    ResponseSerializer._serialize_structure_member = _serialize_structure_member  # type: ignore[method-assign]
    responses.method_names_from_class = cache(_names)
    models.DynamoDBBackend.transact_write_items = _transact_write_items  # type: ignore[method-assign]
    models.copy = types.SimpleNamespace(copy=copy.copy, deepcopy=_deepcopy)  # type: ignore[attr-defined]


def _serialize_structure_member(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
    """Look for no member that a dictionary of nothing but members does not hold."""
    parent = getattr(shape, "parent", None)
    changed = getattr(self._value_picker, "response_transformers", None)
    plain = type(value) is dict and parent is not None and not changed
    if not plain or key in value or not value.keys() <= parent.members.keys():
        _member(self, serialized, value, shape, key)


def _transact_write_items(self: Any, transact_items: list[dict[str, Any]]) -> None:
    """Copy each table once."""
    _transaction.copies = {}
    try:
        _transact(self, transact_items)
    finally:
        _transaction.copies = None


def _deepcopy(original: Any) -> Any:
    copies: dict[int, Table] | None = getattr(_transaction, "copies", None)
    if copies is None or not isinstance(original, Table):
        return copy.deepcopy(original)
    if id(original) not in copies:
        copies[id(original)] = copy.deepcopy(original)
    return copies[id(original)]

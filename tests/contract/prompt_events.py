"""Samples about prompts, sent one after the other: one is created, shown, rendered, changed and deleted."""

from typing import Any

from tests.contract.account import Account
from tests.contract.samples import send

STATUSES = {
    "prompts-create": 201,
    "prompts-show": 200,
    "prompts-render": 200,
    "prompts-list": 200,
    "prompts-change": 200,
    "prompts-delete": 204,
}


def lived(aws: Account) -> dict[str, Any]:
    """What the function answers to each."""
    return {name: send(aws, name) for name in STATUSES}

"""Samples about models, sent one after the other: a price, a provider and a route are added, read, changed, removed."""

import json
from typing import Any

from tests.contract.account import Account
from tests.contract.samples import send

STATUSES = {
    "models-price-add": 201,
    "models-price-list": 200,
    "models-price-show": 200,
    "models-price-change": 200,
    "models-price-import": 200,
    "models-provider-add": 201,
    "models-provider-list": 200,
    "models-provider-show": 200,
    "models-provider-change": 200,
    "models-route-add": 201,
    "models-route-list": 200,
    "models-route-show": 200,
    "models-route-change": 200,
    "models-route-remove": 204,
    "models-provider-remove": 204,
    "models-price-remove": 204,
    "models-audit": 200,
}


def lived(aws: Account) -> dict[str, Any]:
    """What the function answers to each."""
    return {name: send(aws, name) for name in STATUSES}


def body(told: dict[str, Any], name: str) -> dict[str, Any]:
    """What was answered to a sample."""
    read: dict[str, Any] = json.loads(told[name]["body"])
    return read

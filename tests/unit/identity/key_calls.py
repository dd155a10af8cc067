"""Keys as people make and change them: the calls that the tests of keys share."""

from datetime import timedelta
from typing import Any

from tests.unit.identity.accounts import ANN, NOON, ORIGIN, PEPPER, person
from weir.identity import api_keys
from weir.identity.contract_api_keys import NewKey
from weir.identity.key_store import Keys
from weir.identity.models import ApiKey
from weir.runtime.http import Principal

HOUR = timedelta(hours=1)


def make(keys: Keys, caller: Principal | None = None, again: str | None = None, **asked: Any) -> tuple[ApiKey, str]:
    new = NewKey.model_validate({"name": "nightly", **asked})
    return api_keys.make_key(new, caller or person(), ORIGIN, keys, pepper=PEPPER, now=NOON, idempotency_key=again)


def rotate(keys: Keys, key: ApiKey, grace: int = 0, caller: Principal | None = None) -> tuple[ApiKey, str]:
    return api_keys.rotate_key(key.key_id, grace, caller or person(), ORIGIN, keys, pepper=PEPPER, now=NOON + HOUR)


def revoke(keys: Keys, key: ApiKey, owner: str = ANN, caller: Principal | None = None) -> ApiKey:
    return api_keys.revoke_key(key.key_id, owner, caller or person(), ORIGIN, keys, now=NOON + HOUR)

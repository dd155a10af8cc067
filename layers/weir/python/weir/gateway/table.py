"""The gateway's items in the idempotency table, beside those of Powertools, whose ids begin otherwise.

| item | id | read by |
|---|---|---|
| answer | gateway#digest | whoever sends the same Idempotency-Key again |
| part of a long answer | gateway#digest#owner#n | with its answer |

The digest is of user, route and key. An answer is ``working`` until it is ``kept``; ``until`` (epoch seconds) is when
whoever works on it has died at the latest. ``expiration`` (epoch seconds) is when it is forgotten, checked on read.
"""

from weir.runtime import aws
from weir.runtime.dynamodb import Table
from weir.runtime.settings import settings

SCHEMA = 1


def table() -> Table:
    """The stack's idempotency table."""
    return Table(aws.client("dynamodb"), settings(needs=("idempotency_table",)).idempotency_table)


def answer_key(digest: str) -> dict[str, str]:
    """The key of an answer."""
    return {"id": f"gateway#{digest}"}


def part_key(digest: str, owner: str, number: int) -> dict[str, str]:
    """The key of a part of a long answer; parts of one that was given up are never mistaken for those of the next."""
    return {"id": f"gateway#{digest}#{owner}#{number}"}

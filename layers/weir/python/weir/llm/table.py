"""The table of providers and routes: its keys and access patterns. DynamoDB itself: ``runtime.dynamodb``.

| item | pk | sk | read by |
|---|---|---|---|
| provider | PROVIDERS | name | name; all, by name |
| route | ROUTES | model | model; all, by model |
| audit | AUDIT#yyyy-mm | time#id | who changed them, by time (``runtime.audit``) |

There are few of both, and the gateway reads all of them at once. Every item carries ``schema``.
"""

from weir.runtime import aws
from weir.runtime.dynamodb import Table
from weir.runtime.settings import settings

SCHEMA = 1
Key = dict[str, str]

PROVIDERS = "PROVIDERS"
ROUTES = "ROUTES"


def table() -> Table:
    """The stack's table of providers and routes."""
    return Table(aws.client("dynamodb"), settings(needs=("llm_table",)).llm_table)


def provider_key(name: str) -> Key:
    """The key of a provider."""
    return {"pk": PROVIDERS, "sk": name}


def route_key(model: str) -> Key:
    """The key of a route, by the name of its model, or the beginning with its ``*``."""
    return {"pk": ROUTES, "sk": model}

"""Roles, the scopes that they bring, and what an API key may hold of them.

A scope is what a route asks for; a role is what an admin grants. Groups are free names that say on whose things: no
route asks for one.
"""

from collections.abc import Iterable
from typing import Literal

Role = Literal["admin", "operator", "publisher", "member"]
Scope = Literal[
    "streams:read",
    "streams:write",
    "runs:read",
    "runs:write",
    "packages:read",
    "packages:write",
    "models:invoke",
    "models:write",
    "usage:read",
    "usage:write",
    "analyses:read",
    "analyses:write",
    "keys:manage",
    "users:read",
    "users:write",
    "audit:read",
]

_MEMBER: frozenset[Scope] = frozenset(
    {"streams:read", "runs:read", "packages:read", "analyses:read", "models:invoke", "usage:read", "keys:manage"}
)
_OPERATOR: frozenset[Scope] = _MEMBER | {"streams:write", "runs:write", "analyses:write"}
_PUBLISHER: frozenset[Scope] = _MEMBER | {"packages:write"}
SCOPES: dict[Role, frozenset[Scope]] = {
    "member": _MEMBER,
    "operator": _OPERATOR,
    "publisher": _PUBLISHER,
    "admin": _OPERATOR | _PUBLISHER | {"models:write", "usage:write", "users:read", "users:write", "audit:read"},
}

FOR_PEOPLE: frozenset[Scope] = frozenset({"keys:manage", "users:write"})
"""What no API key holds: a key that leaks must not be able to make others, or let anybody in."""


def scopes_of(roles: Iterable[str]) -> frozenset[str]:
    """All scopes that roles bring; a role that is not known brings none."""
    return frozenset(scope for role in roles for scope in SCOPES.get(role, frozenset()))  # type: ignore[call-overload]


def scopes_of_key(asked: Iterable[str], owner_roles: Iterable[str]) -> frozenset[str]:
    """What a key holds now: what it was made with, never beyond what its owner holds today."""
    return frozenset(asked) & scopes_of(owner_roles) - FOR_PEOPLE

"""What admins do with providers: add, change, remove.

A provider's key can be written and never read. Nor can it be sent elsewhere: with another address, or another kind,
it must be given anew.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from weir.llm.errors import AddressForbidden, InUse, ProviderNotFound
from weir.llm.models import Provider
from weir.llm.network import allowed, check_address
from weir.llm.secrets import Vault
from weir.llm.store import Store, changed, name_taken
from weir.runtime.audit import Asker
from weir.runtime.errors import FieldError, Invalid, WeirError
from weir.runtime.etags import first_revision, matches


@dataclass(frozen=True, slots=True)
class Deps:
    """What the use cases of providers speak to."""

    store: Store
    vault: Vault


def add(asked: Provider, key: str | None, deps: Deps, who: Asker | None = None) -> Provider:
    """Add a provider, with its key where it needs one.

    Raises
    ------
    NameTaken
    Invalid
        Its address is none to have, or it can have no key.
    """
    made = replace(asked, secret_arn="", revision=first_revision(deps.store.clock))
    _check(made, key)
    if deps.store.has_provider(made.name):
        raise name_taken("provider", made.name)
    if key:
        made = replace(made, secret_arn=deps.vault.put(made.name, key))
    try:
        deps.store.add_provider(made, who)
    except WeirError:
        _drop_unless_used(made, deps)
        raise
    return made


def change(
    name: str, asked: Provider, key: str | None, if_match: str | None, deps: Deps, who: Asker | None = None
) -> Provider:
    """Change all of a provider but its name. Without a ``key`` the stored one stays; an empty one takes it away.

    Raises
    ------
    ProviderNotFound, Changed
    Invalid
        Its address is none to have, it can have no key, or its key must be given anew.
    """
    before = deps.store.provider(name)
    if not matches(if_match, before.revision):
        raise changed("provider")
    after = replace(asked, name=name, secret_arn=before.secret_arn, revision=before.revision)
    _check(after, key)
    if key is None and before.secret_arn and _place(before) != _place(after):
        told = "must be given anew with another kind or address: the stored one is for the old place alone"
        raise Invalid(f"key: {told}.", errors=[FieldError("key", told)])
    if key is not None:
        after = replace(after, secret_arn=deps.vault.put(name, key) if key else "")
    try:
        stored = deps.store.change_provider(before, after, who)
    except WeirError:
        if after.secret_arn != before.secret_arn:
            _drop_unless_used(after, deps)
        raise
    if before.secret_arn != stored.secret_arn:
        _drop(before.secret_arn, deps.vault)
    return stored


def remove(name: str, if_match: str | None, deps: Deps, who: Asker | None = None) -> None:
    """Remove a provider that no route leads to, and its key with it.

    A route that is written at this very moment may be left without it, and is then passed over like any whose
    providers are switched off.

    Raises
    ------
    ProviderNotFound, Changed
    InUse
        Routes lead to it; ``routes`` tells which, ten at most.
    """
    before = deps.store.provider(name)
    if not matches(if_match, before.revision):
        raise changed("provider")
    leading = [route.model for route in deps.store.routes() if any(one.provider == name for one in route.targets)]
    if leading:
        raise InUse(f"{len(leading)} routes lead to the provider {name!r}; change those first.", routes=leading[:10])
    deps.store.remove_provider(before, who)
    _drop(before.secret_arn, deps.vault)


def _check(provider: Provider, key: str | None) -> None:
    for field, rule in (
        ("private_networks", lambda: allowed(provider.private_networks)),
        ("address", lambda: check_address(provider)),
    ):
        try:
            rule()
        except AddressForbidden as error:
            raise AddressForbidden(error.detail, errors=[FieldError(field, error.detail)]) from error
    if provider.kind == "bedrock" and key:
        told = "Bedrock is called with the gateway's own rights, and takes no key"
        raise Invalid(f"key: {told}.", errors=[FieldError("key", told)])


def _place(provider: Provider) -> tuple[str, str, str]:
    """Where a provider's key goes to."""
    parts = urlsplit(provider.address.lower())
    return provider.kind, parts.scheme, parts.netloc


def _drop_unless_used(provider: Provider, deps: Deps) -> None:
    """Delete a new key whose provider could not be stored; it stays where nobody knows whether it was."""
    with suppress(WeirError):
        try:
            used = deps.store.provider(provider.name).secret_arn == provider.secret_arn
        except ProviderNotFound:
            used = False
        if not used:
            _drop(provider.secret_arn, deps.vault)


def _drop(arn: str, vault: Vault) -> None:
    """Delete a key that counts no more, if it can be done: it opens nothing here in any case."""
    if arn:
        with suppress(WeirError):
            vault.drop(arn)

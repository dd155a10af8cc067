"""Importing a repository of the Hugging Face Hub as a version: what a request starts, and what it can watch.

The copying is a state machine's (``import_steps``); an import's id is its execution's name. A request that comes again
with the same idempotency key finds the import that the first has made.
"""

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import datetime

from weir.packages.imports import ENDED, Failure, Import, Imports, ImportState, Wanted
from weir.packages.models import Version
from weir.packages.registering import check
from weir.packages.store import Store
from weir.packages.trust_errors import ImportNotFound
from weir.runtime.audit import Asker
from weir.runtime.clock import Clock
from weir.runtime.errors import Conflict, WeirError
from weir.runtime.http import Principal
from weir.runtime.stepfunctions import Machine

BROKEN = frozenset({"FAILED", "TIMED_OUT", "ABORTED"})


class ImportExists(Conflict):
    """The key has started another import."""

    slug, title = "import-exists", "The import exists already"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import has come: files and bytes in S3, and the version as it is, once it is registered."""

    files: int
    size: int
    version: Version | None


def start(wanted: Wanted, asker: Asker, store: Store, machine: Machine, clock: Clock, key: str | None = None) -> Import:
    """Store and start an import, or find the one that ``key`` has made today.

    Raises
    ------
    PackageNotFound, NotTheOwner, NameTaken, VersionExists, Forbidden, Invalid
        It could not be registered, whatever the hub has: the name is another's, or what is asked for of the package
        is not so, or may not be.
    ImportExists
        The key has started another import.
    WeirError
        Step Functions would not start it; nothing is left of it.
    """
    check(wanted, asker.principal, store)
    imports, now = Imports(store.table, clock), clock.now()
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as it is read back
    made = Import(_id(now, asker.principal.sub, key), wanted, asker, now, now)
    if not imports.add(made):
        found = imports.get(made.import_id)
        if (found.wanted, found.asker.principal.sub) != (wanted, asker.principal.sub):
            raise ImportExists("This Idempotency-Key has started another import; use a new key.")
        made = found
    try:
        machine.start(made.import_id, {"import_id": made.import_id})
    except WeirError:
        if made.state is ImportState.PLANNING and machine.status(made.import_id) is None:
            imports.forget(made.import_id)
        raise
    return made


def watch(import_id: str, caller: Principal, store: Store, machine: Machine) -> tuple[Import, Progress]:
    """An import as it stands, and how far it has come. ImportNotFound where there is none, or it is another user's.

    One whose execution was stopped, or ran out of time, tells so by itself nowhere: that is looked up.
    """
    imports = Imports(store.table, store.clock)
    found = imports.get(import_id)
    if not caller.owns(found.asker.principal.sub):
        raise ImportNotFound(f"There is no import {import_id!r}.")
    if found.state not in ENDED and (status := machine.status(import_id)) in BROKEN:
        found = imports.get(import_id)  # it may have told meanwhile
        if found.state not in ENDED:
            cause = "its execution was stopped, or ran out of time"
            found = replace(found, state=ImportState.FAILED, failure=Failure("Import", str(status), cause))
    files = list(imports.files(import_id))
    version = store.version(found.wanted.name, found.version) if found.version is not None else None
    return found, Progress(sum(one.done for one in files), sum(one.copied for one in files), version)


def _id(now: datetime, owner: str, key: str | None) -> str:
    """An id that begins with the day; with an idempotency key it follows from owner and key."""
    if key is None:
        return f"{now:%Y%m%d}-{secrets.token_hex(10)}"
    digest = hashlib.blake2b(f"{owner}\n{key}".encode(), digest_size=10).hexdigest()
    return f"{now:%Y%m%d}-{digest}"

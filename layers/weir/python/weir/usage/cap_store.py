"""Caps in the usage table, and what of them a process remembers.

A subject has one cap at most of each window and measure: the cap's key says which, so of two at once one is refused.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

from weir.runtime.audit import NOTHING, Asker, Audit, Told, texts
from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Item, Table, Write
from weir.runtime.etags import first_revision, matches
from weir.usage.caps import Default, figure, of_user, subjects_by_width
from weir.usage.errors import CapChanged, CapExists, CapNotFound, ShardsDiffer
from weir.usage.items import cap_item, cap_of
from weir.usage.models import EVERYONE, Caller, Cap, Subject
from weir.usage.shapes import SHAPES
from weir.usage.table import CAPS, LISTING, cap_id, cap_key, caps_of, key_of_cap

MOST_REMEMBERED = 4096
"""Subjects whose caps a process remembers."""


class CapStore:
    """The caps. What is read of the list is a moment late, as DynamoDB has it; of a subject it is as it is."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table, self._clock = table, clock
        self.audit = Audit(table, SHAPES, clock)

    def of_subject(self, subject: Subject) -> tuple[Cap, ...]:
        """The caps that are set for a subject."""
        return tuple(cap_of(one) for one in self._table.all("pk = :pk", {"pk": caps_of(subject)}))

    def of_many(self) -> tuple[Cap, ...]:
        """The caps of everyone and of groups: those that many callers share."""
        return tuple(self._listed("everyone#", "group#~"))

    def all(self) -> Iterable[Cap]:
        """Every cap that is set."""
        return self._listed("", "~")

    def page(self, limit: int, after: Mapping[str, Any] | None = None) -> tuple[list[Cap], Item | None]:
        """Caps by subject, window and measure, and where to go on; None at the end."""
        names = {"list": "list"}
        found, position = self._table.page(
            "#list = :list", {"list": CAPS}, limit=limit, after=after, index=LISTING, names=names
        )
        return [cap_of(one) for one in found], position

    def get(self, known_as: str) -> Cap:
        """The cap of an id. CapNotFound."""
        key = key_of_cap(known_as)
        item = None if key is None else self._table.get(key)
        if item is None:
            raise CapNotFound(f"There is no cap {known_as[:64]!r}.")
        return cap_of(item)

    def add(self, cap: Cap, who: Asker | None = None) -> Cap:
        """Store a new cap, and tell the audit who asked; answers it with its id and times.

        Raises
        ------
        CapExists
            The subject has one of this window and measure.
        ShardsDiffer
            Its other caps are split another way.
        """
        others = self.of_subject(cap.subject)
        if any(one.shards != cap.shards for one in others if one.window != cap.window or one.measure != cap.measure):
            raise ShardsDiffer(f"The other caps of this subject are split in {others[0].shards}: so must this one be.")
        now = self._clock.now()
        known_as = cap_id(cap.subject, cap.window, cap.measure)
        revision = first_revision(self._clock)
        made = replace(cap, cap_id=known_as, created_at=now, updated_at=now, revision=revision)
        write = Write(put=cap_item(made), when="attribute_not_exists(pk)")
        if not self.audit.write(write, "cap.set", who, known_as, NOTHING, _texts(made)):
            raise CapExists(f"There is such a cap already: {known_as}. Change it.", cap_id=known_as)
        return made

    def change(self, known_as: str, changed: Cap, if_match: str | None, who: Asker | None = None) -> Cap:
        """Store limit, mode, enforcement and grace of a cap anew. CapNotFound, CapChanged."""
        before = self.get(known_as)
        _check_match(if_match, before)
        after = replace(
            before,
            limit=changed.limit,
            mode=changed.mode,
            enforced=changed.enforced,
            enforced_from=changed.enforced_from,
            updated_at=self._clock.now(),
            revision=before.revision + 1,
        )
        write = Write(put=cap_item(after), **_as_read(before))
        if not self.audit.write(write, "cap.changed", who, known_as, _texts(before), _texts(after)):
            raise changed_since()
        return after

    def remove(self, known_as: str, if_match: str | None, who: Asker | None = None) -> None:
        """Take a cap away: a user then has the default for it, if there is one. CapNotFound, CapChanged."""
        before = self.get(known_as)
        _check_match(if_match, before)
        write = Write(key=cap_key(before.subject, before.window, before.measure), **_as_read(before))
        if not self.audit.write(write, "cap.removed", who, known_as, _texts(before), NOTHING):
            raise changed_since()

    def _listed(self, since: str, until: str) -> Iterable[Cap]:
        values = {"list": CAPS, "since": since or " ", "until": until}
        names = {"list": "list", "at": "at"}
        where = "#list = :list AND #at BETWEEN :since AND :until"
        return (cap_of(one) for one in self._table.all(where, values, index=LISTING, names=names))


def _texts(cap: Cap) -> Told:
    names = ("subject", "window", "measure", "limit", "mode", "enforced", "enforced_from", "shards")
    subject, limit = f"{cap.subject.kind} {cap.subject.id}", figure(cap.measure, cap.limit)
    return texts({name: getattr(cap, name) for name in names} | {"subject": subject, "limit": limit})


def _check_match(if_match: str | None, cap: Cap) -> None:
    if not matches(if_match, cap.revision):
        raise changed_since()


def _as_read(cap: Cap) -> dict[str, Any]:
    return {"when": "revision = :revision", "values": {"revision": cap.revision}}


def changed_since() -> CapChanged:
    """The refusal of a change to what somebody else has changed."""
    return CapChanged("Somebody else has changed the cap since; read it again.")


@dataclass(frozen=True, slots=True)
class Held:
    """A subject that a call is charged to, and its caps."""

    subject: Subject
    caps: tuple[Cap, ...]

    @property
    def shards(self) -> int:
        """In how many its counter is split."""
        return max((one.shards for one in self.caps), default=1)


class KnownCaps:
    """The caps that hold for callers, remembered for ``kept_seconds``: a change counts after that at the latest."""

    def __init__(self, store: CapStore, defaults: tuple[Default, ...], kept_seconds: float, clock: Clock) -> None:
        self._store, self._defaults, self._kept, self._clock = store, defaults, kept_seconds, clock
        self._known: dict[Subject | None, tuple[float, tuple[Cap, ...]]] = {}
        self._lock = Lock()

    def of(self, caller: Caller) -> list[Held]:
        """Whom a call is charged to, from the narrowest to the widest: the user always, others where they have caps."""
        user = Subject("user", caller.user)
        found = {user: self._of(user, self._of_user)}
        if caller.key:
            key = Subject("key", caller.key)
            found[key] = self._of(key, self._store.of_subject)
        for cap in self._of(None, lambda _: self._store.of_many()):
            subject = cap.subject
            if subject.id in caller.groups if subject.kind == "group" else subject.id == EVERYONE:
                found[subject] = (*found.get(subject, ()), cap)
        return [Held(one, found[one]) for one in subjects_by_width(found) if found[one] or one == user]

    def forget(self) -> None:
        """Read all anew at the next call."""
        with self._lock:
            self._known.clear()

    def _of_user(self, user: Subject) -> tuple[Cap, ...]:
        return of_user(user.id, self._store.of_subject(user), self._defaults)

    def _of(self, subject: Subject | None, read: Callable[[Any], tuple[Cap, ...]]) -> tuple[Cap, ...]:
        now = self._clock.monotonic()
        known = self._known.get(subject)
        if known is not None and now < known[0]:
            return known[1]
        caps = read(subject)
        with self._lock:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[subject] = (now + self._kept, caps)
        return caps

"""What ends access tokens before their time: the end of a session, or a change of a user's rights or password.

An entry is written in the transaction of the change. Whoever admits tokens keeps the entries in memory and asks for new
ones every 30 s at most, so that no decision reads a table and a revocation holds within ``WITHIN_SECONDS`` everywhere.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from weir.identity.shapes import SHAPES
from weir.identity.table import REVOKED, SCHEMA
from weir.runtime.clock import Clock, rfc3339
from weir.runtime.dynamodb import Table, Write
from weir.runtime.errors import WeirError

if TYPE_CHECKING:
    from weir.identity.models import Claims

WITHIN_SECONDS = 60.0
LOOKS_SECONDS = 30.0
TRIES_SECONDS = 5.0
"""Between two tries, when DynamoDB does not answer."""

OVERLAP = timedelta(seconds=60)
"""An entry bears the time at which its writer began, and is seen when the write is done: at most a time-out later."""

KEPT = timedelta(hours=2)
_MATTERS = timedelta(hours=1) + OVERLAP
"""No access token lives longer than an hour."""


def from_now(last: int, now: datetime) -> int:
    """The moment (epoch seconds) before which all that was issued ends: later than now, and than the ``last`` such.

    What is issued right after a change bears its moment. A second change within the same second must end that, too.
    """
    return max(last, int(now.timestamp())) + 1


def session_write(session_id: str, now: datetime) -> Write:
    """The write that ends all access tokens of a session."""
    return _entry("session", session_id, now, {})


def user_write(user_id: str, before: int, now: datetime) -> Write:
    """The write that ends the access tokens of a user that were issued ``before`` (epoch seconds)."""
    return _entry("user", user_id, now, {"before": before})


def _entry(what: str, id_: str, now: datetime, more: dict[str, int]) -> Write:
    ttl = int((now + KEPT).timestamp())
    return Write(put={"pk": REVOKED, "sk": f"{rfc3339(now)}#{what}#{id_}", "schema": SCHEMA, "ttl": ttl, **more})


class Revocations:
    """What has been revoked, as one process knows it."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table, self._clock = table, clock
        self._sessions: dict[str, str] = {}
        self._users: dict[str, tuple[int, str]] = {}
        self._looked_at = self._tried_at = float("-inf")
        self._since: datetime | None = None

    def holds(self, claims: "Claims") -> bool:
        """Whether a token is revoked.

        WeirError where DynamoDB has not answered for so long that a revocation of ``WITHIN_SECONDS`` ago may be missed.
        """
        self._refresh()
        before, _ = self._users.get(claims.sub, (0, ""))
        return claims.session_id in self._sessions or claims.issued_at < before

    def _refresh(self) -> None:
        moment = self._clock.monotonic()
        age = moment - self._looked_at
        if age < LOOKS_SECONDS or (age < WITHIN_SECONDS and moment - self._tried_at < TRIES_SECONDS):
            return
        self._tried_at = moment
        try:
            self._look()
        except WeirError:
            if age >= WITHIN_SECONDS:
                raise
        else:
            self._looked_at = moment

    def _look(self) -> None:
        """Add what was revoked since the last look, and forget what no living token can meet."""
        now = self._clock.now()
        oldest = now - _MATTERS
        since = rfc3339(oldest if self._since is None else max(oldest, self._since - OVERLAP))
        sessions, users = dict(self._sessions), dict(self._users)
        for item in self._table.all("pk = :pk AND sk >= :since", {"pk": REVOKED, "since": since}):
            entry = SHAPES.current(item)
            at, what, id_ = entry["sk"].split("#", 2)
            if what == "session":
                sessions[id_] = at
            else:
                before, last = users.get(id_, (0, at))
                users[id_] = (max(before, entry["before"]), max(last, at))
        ended = rfc3339(oldest)
        self._sessions = {id_: at for id_, at in sessions.items() if at >= ended}
        self._users = {id_: (before, at) for id_, (before, at) in users.items() if at >= ended}
        self._since = now

"""The usage table: its keys and access patterns. DynamoDB itself is spoken to by ``runtime.dynamodb``.

| item | pk | sk | read by |
|---|---|---|---|
| counter | COUNT#kind#subject#shard | COUNT | subject and shard: what is used and set aside in the running windows |
| cap | CAPS#kind#subject | window#measure | subject; CAPS + kind#subject#window#measure in ``listing`` |
| record | REC#user#yyyymmdd | admitted_at#id | user and day of admission, by time |
| active user | ACTIVE#yyyymmdd | user | who was admitted, or tried to be, on a day |
| late hour | LATE | yyyymmddhh | hours of which a record came after they were over |
| period | SUM#hour (day, week, month) | its name | what is summed up, by time: which ``edition`` of its rows holds |
| row | ROWS#name#edition | user#digest | the rows of a period; those of a user |
| rolling | ROLLED | ROLLED | how far the hours are summed up |
| alarm | ALARM#cap | bucket#percent | that it was told once |
| refusal | REFUSED#yyyymmdd | cap#bucket | the caps that a call was refused by on a day, for the alarms |
| audit | AUDIT#yyyy-mm | time#id | who changed caps and prices, by time (``runtime.audit``) |
| price | PRICE#id | PRICE | id; PRICES + provider#model#region#tier#since in ``listing`` |
| ended import | PRICEIMPORT#id | PRICEIMPORT | id: the prices that it has written count |
| import under way | PRICELOCK | PRICELOCK | that there is one at a time |

The index ``listing`` is by ``list`` and ``at``. Every item carries ``schema``; what ends by itself carries ``ttl``
(epoch seconds), and is checked on read where it matters, for DynamoDB deletes late.
"""

import base64
import binascii
from datetime import UTC, datetime

from weir.runtime import aws
from weir.runtime.clock import rfc3339
from weir.runtime.dynamodb import Table
from weir.runtime.settings import settings
from weir.usage.counters import Place
from weir.usage.models import Cap, Measure, Subject, Window
from weir.usage.windows import Period

SCHEMA = 1
Key = dict[str, str]

LISTING = "listing"
CAPS = "CAPS"
PRICES = "PRICES"
LATE = "LATE"
PRICE_LOCK: Key = {"pk": "PRICELOCK", "sk": "PRICELOCK"}
ROLLED_KEY: Key = {"pk": "ROLLED", "sk": "ROLLED"}


def table() -> Table:
    """The stack's usage table. Its client checks no parameters: that is a third of the time of a call."""
    return Table(aws.client("dynamodb", validate=False), settings(needs=("usage_table",)).usage_table)


def count_key(place: Place) -> Key:
    """The key of a counter. Each shard is a partition of its own: that is what shards are for."""
    return {"pk": f"COUNT#{place.subject.kind}#{place.subject.id}#{place.shard}", "sk": "COUNT"}


def caps_of(subject: Subject) -> str:
    """The partition of the caps of a subject."""
    return f"CAPS#{subject.kind}#{subject.id}"


def cap_key(subject: Subject, window: Window, measure: Measure) -> Key:
    """The key of a cap: a subject has one at most of each window and measure."""
    return {"pk": caps_of(subject), "sk": f"{window}#{measure}"}


def price_key(price_id: str) -> Key:
    """The key of a price."""
    return {"pk": f"PRICE#{price_id}", "sk": "PRICE"}


def price_import_key(import_id: str) -> Key:
    """The key of an import of prices that has ended well."""
    return {"pk": f"PRICEIMPORT#{import_id}", "sk": "PRICEIMPORT"}


def cap_place(cap: Cap) -> str:
    """Where a cap stands in the list of all."""
    return f"{cap.subject.kind}#{cap.subject.id}#{cap.window}#{cap.measure}"


def cap_id(subject: Subject, window: Window, measure: Measure) -> str:
    """The id of a cap, from which its key follows."""
    told = f"{subject.kind}#{window}#{measure}#{subject.id}"
    return base64.urlsafe_b64encode(told.encode()).rstrip(b"=").decode()


def key_of_cap(text: str) -> Key | None:
    """The key that a cap's id stands for; None where it is no such id."""
    try:
        told = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        kind, window, measure, subject = told.split("#", 3)
    except (ValueError, binascii.Error):
        return None
    return {"pk": f"CAPS#{kind}#{subject}", "sk": f"{window}#{measure}"}


def day_of(moment: datetime) -> str:
    """A day as keys name it."""
    return f"{moment.astimezone(UTC):%Y%m%d}"


def records_of(user: str, day: str) -> str:
    """The partition of a user's records of a day."""
    return f"REC#{user}#{day}"


def record_key(user: str, admitted_at: datetime, record_id: str) -> Key:
    """The key of a record."""
    return {"pk": records_of(user, day_of(admitted_at)), "sk": f"{rfc3339(admitted_at)}#{record_id}"}


def active_on(day: str) -> str:
    """The partition of who was active on a day."""
    return f"ACTIVE#{day}"


def refused_on(day: str) -> str:
    """The partition of the caps that calls were refused by on a day."""
    return f"REFUSED#{day}"


def refusal(cap: Cap, bucket: str) -> str:
    """How a cap is named there, with the window in which it refused."""
    return f"{cap_place(cap)}#{bucket}"


def late_key(hour: datetime) -> Key:
    """The key of the mark that an hour has late records."""
    return {"pk": LATE, "sk": f"{hour:%Y%m%d%H}"}


def periods_of(period: Period) -> str:
    """The partition of the periods that are summed up."""
    return f"SUM#{period}"


def rows_of(name: str, edition: str) -> str:
    """The partition of the rows of a period, in one edition of them."""
    return f"ROWS#{name}#{edition}"


def alarm_key(cap: Cap, bucket: str, percent: int) -> Key:
    """The key of the mark that an alarm was told."""
    return {"pk": f"ALARM#{cap_place(cap)}", "sk": f"{bucket}#{percent}"}

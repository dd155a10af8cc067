"""The rules of caps: which hold for a call, what room they leave, and what whoever is refused is told.

A user who has no cap of their own for a window and measure has the stack's default for it, where there is one. Of keys,
groups and everyone there are no defaults. A cap whose grace has not ended, or that is not enforced, only counts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

from weir.runtime.clock import rfc3339
from weir.runtime.errors import Forbidden, TooManyRequests
from weir.runtime.settings import SettingsError
from weir.usage.counters import Count, Room
from weir.usage.models import Amount, Cap, Measure, Subject, Window
from weir.usage.money import pico, usd
from weir.usage.table import cap_id
from weir.usage.windows import MEASURES, WINDOWS, buckets, end, name


@dataclass(frozen=True, slots=True)
class Default:
    """What a user may use in each window, where no cap of their own says otherwise."""

    window: Window
    measure: Measure
    limit: int


class CapExceeded(TooManyRequests):
    """The call would pass a cap; it was not made. ``cap`` is which, the figures are in its measure's own units."""

    slug, title = "cap-exceeded", "A cap is reached"

    def __init__(self, cap: Cap, usage: int, requested: int, now: datetime) -> None:
        resets_at = end(cap.window, now)
        seconds = max(1, -int((now - resets_at).total_seconds() // 1))
        self.cap, self.usage, self.requested, self.resets_at = cap, usage, requested, resets_at
        whose = "everyone" if cap.subject.kind == "everyone" else f"the {cap.subject.kind} {cap.subject.id}"
        detail = (
            f"The cap of {told(cap.measure, cap.limit)} a {cap.window} for {whose} is reached: "
            f"{told(cap.measure, usage)} used, {told(cap.measure, requested)} asked for. "
            f"It is reset at {rfc3339(resets_at)}."
        )
        super().__init__(
            detail,
            retry_after=seconds,
            cap_id=cap.cap_id,
            subject=cap.subject.kind,
            limit_type=cap.measure,
            window=cap.window,
            usage=figure(cap.measure, usage),
            limit=figure(cap.measure, cap.limit),
            requested=figure(cap.measure, requested),
            resets_at=rfc3339(resets_at),
            retry_after_seconds=seconds,
        )


class ModelUnpriced(Forbidden):
    """A cap on cost holds, and nobody knows what the model costs: the call is not made."""

    slug, title = "model-unpriced", "The model has no price"


class ToolUnpriced(Forbidden):
    """A cap on cost holds, and the call asks for a tool that is charged by its use: the call is not made."""

    slug, title = "tool-unpriced", "The tool has no price"


def figure(measure: Measure, amount: int) -> int | str:
    """An amount as it is answered: cost as a decimal string of dollars."""
    return usd(amount) if measure == "cost" else amount


def told(measure: Measure, amount: int) -> str:
    """An amount in words."""
    return f"${usd(amount)}" if measure == "cost" else f"{amount:,} {measure}"


def defaults_of(text: str) -> tuple[Default, ...]:
    """The stack's defaults from its settings: ``day requests 1000, day cost 10``; empty for none.

    SettingsError where the text can't be read: a stack without the caps that it is meant to have does not start.
    """
    found: dict[tuple[str, str], Default] = {}
    for one in filter(None, (part.strip() for part in text.split(","))):
        words = one.split()
        if len(words) != 3 or words[0] not in WINDOWS or words[1] not in MEASURES:
            raise SettingsError(f"WEIR_DEFAULT_CAPS: {one!r} is not such as 'day requests 1000'")
        window: Window = next(known for known in get_args(Window) if known == words[0])
        measure: Measure = next(known for known in get_args(Measure) if known == words[1])
        try:
            limit = pico(words[2]) if measure == "cost" else int(words[2])
        except ValueError as error:
            raise SettingsError(f"WEIR_DEFAULT_CAPS: {one!r}: {error}") from error
        if limit < 0 or (window, measure) in found:
            raise SettingsError(f"WEIR_DEFAULT_CAPS: {one!r} is below 0, or the second of its kind")
        found[window, measure] = Default(window, measure, limit)
    return tuple(found.values())


def of_user(user: str, own: Iterable[Cap], defaults: Sequence[Default]) -> tuple[Cap, ...]:
    """The caps of a user: their own, and the defaults for what they have none of."""
    caps = {(one.window, one.measure): one for one in own}
    subject = Subject("user", user)
    for one in defaults:
        if (one.window, one.measure) not in caps:
            known_as = cap_id(subject, one.window, one.measure)
            caps[one.window, one.measure] = Cap(known_as, subject, one.window, one.measure, one.limit, default=True)
    return tuple(caps.values())


def is_enforced(cap: Cap, now: datetime) -> bool:
    """Whether a cap refuses by now."""
    return cap.enforced and (cap.enforced_from is None or cap.enforced_from <= now)


def limit_of(cap: Cap, shard: int) -> int:
    """The part of a cap's limit that a shard holds; the parts of all shards are the limit.

    Nothing on a shard beyond the cap's own: another cap of the subject, set at the same moment, may be split further.
    """
    return 0 if shard >= cap.shards else cap.limit // cap.shards + (shard < cap.limit % cap.shards)


def rooms(caps: Iterable[Cap], amount: Amount, shard: int, now: datetime) -> list[Room]:
    """What each count may be at most, so that an amount can be added to it. Below 0: it never can."""
    names = buckets(now)
    return [
        Room(names[cap.window], cap.measure, limit_of(cap, shard) - getattr(amount, cap.measure))
        for cap in caps
        if is_enforced(cap, now)
    ]


def passed(caps: Iterable[Cap], amount: Amount, count: Count, shard: int, now: datetime) -> list[Cap]:
    """The caps that an amount would pass, on a shard whose counter stands at ``count``."""
    return [
        cap
        for cap in caps
        if is_enforced(cap, now)
        and count.used(name(cap.window, now), cap.measure) + getattr(amount, cap.measure) > limit_of(cap, shard)
    ]


def left(cap: Cap, count: Count, shard: int, now: datetime) -> int:
    """What a cap leaves on a shard, in its measure; below 0 where it is passed already."""
    return limit_of(cap, shard) - count.used(name(cap.window, now), cap.measure)


def subjects_by_width(found: Iterable[Subject]) -> list[Subject]:
    """Subjects from the narrowest to the widest, each once: the order in which they are charged."""
    order = ("key", "user", "group", "everyone")
    return sorted(dict.fromkeys(found), key=lambda one: (order.index(one.kind), one.id))


def status(cap: Cap, counts: Sequence[Count], now: datetime) -> dict[str, Any]:
    """How far a cap is used up by now, by the counters of all its shards: usage, reserved, percentage, reset."""
    bucket = name(cap.window, now)
    usage = sum(one.used(bucket, cap.measure) for one in counts)
    return {
        "usage": usage,
        "reserved": sum(one.reserved(bucket, cap.measure) for one in counts),
        "percentage": None if cap.limit == 0 else f"{usage * 1000 // cap.limit / 10:.1f}",
        "resets_at": end(cap.window, now),
        "exceeded": usage >= cap.limit,
        "enforced_now": is_enforced(cap, now.astimezone(UTC)),
    }

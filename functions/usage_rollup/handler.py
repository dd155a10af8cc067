"""The scheduled upkeep of usage: ``{"task": "upkeep"}`` each minute, ``{"task": "roll"}`` each hour.

An operator may ask for ``{"task": "rebuild", "from": ..., "to": ...}``.
"""

from typing import Any

from weir.runtime.observability import emit, logger, traced
from weir.runtime.settings import settings

settings(needs=("usage_table", "caps_topic_arn"))
SPARE_SECONDS = 30.0


def _handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    task = event.get("task")
    told = {"upkeep": _upkeep, "roll": _roll, "rebuild": _rebuild}[str(task)](event, context)
    logger().info("usage", extra={"task": task, **told})
    emit({f"Usage{name.title()}": ("Count", count) for name, count in told.items()}, {})
    return told


def _upkeep(_: dict[str, Any], __: Any) -> dict[str, int]:
    """Settle what nobody came to settle, and tell of caps that are nearly used up."""
    from weir.runtime import aws
    from weir.runtime.sns import Topic
    from weir.usage import upkeep
    from weir.usage.alarming import Alarming
    from weir.usage.wiring import deps, meter

    made = deps()
    expired = meter().expire(upkeep.places(made.table, made.caps, made.clock))
    topic = Topic(aws.client("sns"), made.settings.caps_topic_arn)
    found = upkeep.caps(made.table, made.caps, made.defaults, made.clock)
    told = Alarming(made.table, made.counters, topic, made.clock).look(found)
    return {"expired": expired, "alarms": len(told)}


def _roll(_: dict[str, Any], context: Any) -> dict[str, int]:
    """Sum up what is over."""
    from weir.usage.wiring import deps, rolling

    clock = deps().clock
    until = clock.monotonic() + context.get_remaining_time_in_millis() / 1000 - SPARE_SECONDS
    rolled = rolling().roll(lambda: clock.monotonic() < until)
    return {"hours": rolled.hours, "late": rolled.late}


def _rebuild(event: dict[str, Any], _: Any) -> dict[str, int]:
    """Sum up anew what lies between two times, for an operator who asks for it."""
    from weir.runtime.clock import parse_rfc3339
    from weir.usage.wiring import rolling

    return {"rebuilt": rolling().rebuild(parse_rfc3339(event["from"]), parse_rfc3339(event["to"]))}


handler = traced(_handle)

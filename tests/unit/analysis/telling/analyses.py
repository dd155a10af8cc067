"""An analysis of two streams, and models that say what a test has them say."""

import json
from typing import Any

from weir.analysis.telling.model import ModelUnavailable, Said


def fact(name: str, value: Any, unit: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "source": "AWS/Kinesis",
        "complete": True,
        "text": f"{value} {unit}",
        **more,
    }


WRITE = fact("write utilization p99", 83.2, "%")
SHARDS = fact("open shards", 2, "shards")
AGE = fact("iterator age", 90_000, "ms")
COST = fact("cost of a month", 21.9, "USD")


def document(orders: str = "orders", clicks: str = "clicks-2024") -> dict[str, Any]:
    return {
        "range": {"from": "2026-11-13T00:00:00.000Z", "to": "2026-11-20T00:00:00.000Z", "period": 300},
        "streams": [
            {
                "name": orders,
                "findings": [
                    {
                        "id": "shards-needed",
                        "severity": "warning",
                        "title": "Writes reach 83.2 % of 2 shards.",
                        "advice": "Split one.",
                        "evidence": [WRITE, SHARDS],
                    },
                ],
                "facts": [WRITE, SHARDS, COST],
            },
            {
                "name": clicks,
                "findings": [
                    {
                        "id": "iterator-age",
                        "severity": "critical",
                        "title": "Readers are 90,000 ms behind.",
                        "advice": "",
                        "evidence": [AGE],
                    }
                ],
                "facts": [AGE],
            },
        ],
    }


def sentences(*told: tuple[str, list[str]]) -> str:
    return json.dumps({"sentences": [{"text": text, "facts": facts} for text, facts in told]})


class Says:
    """A model that says one thing after another, the last again and again; it keeps what it was asked."""

    def __init__(self, *said: str) -> None:
        self._said = list(said)
        self.asked: list[tuple[str, str]] = []

    def ask(self, instructions: str, data: str, most_tokens: int) -> Said:
        self.asked.append((instructions, data))
        return Said(self._said.pop(0) if len(self._said) > 1 else self._said[0], "a-model")


class Silent:
    """A model that can't be reached."""

    def ask(self, instructions: str, data: str, most_tokens: int) -> Said:
        raise ModelUnavailable("The model can't be reached.")

"""Numbers in prose, held against facts: each must be that of a fact, in its unit and as far as it was rounded.

A number is digits with their decimals, a word such as ``twelve`` or ``twice``, or either with a scale: ``1.2 million``.
A unit that is known is converted (``1.5 GiB`` is ``1,536 MiB``); one that is not must be the fact's own word, or the
number stands for its bare value, unless it counts what facts are counted in. What is written without decimals may have
lost them, but never all there is: 0 is none. Behind ``about`` and the like it may be rounded to two significant digits.

Names are strangers' words: one that reads as a quantity, such as ``42`` or ``50ms``, lets that pass only where it is
said to be a stream.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

__all__ = ["Quantity", "quantities", "unsupported"]

_KIB = 1024
_UNITS: dict[str, tuple[str, Fraction]] = {
    **dict.fromkeys(("ns", "nanosecond"), ("time", Fraction(1, 10**9))),
    **dict.fromkeys(("us", "µs", "microsecond"), ("time", Fraction(1, 1_000_000))),
    **dict.fromkeys(("ms", "msec", "millisecond"), ("time", Fraction(1, 1000))),
    **dict.fromkeys(("s", "sec", "second"), ("time", Fraction(1))),
    **dict.fromkeys(("min", "minute"), ("time", Fraction(60))),
    **dict.fromkeys(("h", "hr", "hour"), ("time", Fraction(3600))),
    **dict.fromkeys(("d", "day"), ("time", Fraction(86_400))),
    "week": ("time", Fraction(604_800)),
    "month": ("time", Fraction(30 * 86_400)),
    "year": ("time", Fraction(365 * 86_400)),
    "bit": ("bytes", Fraction(1, 8)),
    **dict.fromkeys(("kbit", "kilobit"), ("bytes", Fraction(1000, 8))),
    **dict.fromkeys(("mbit", "megabit"), ("bytes", Fraction(1000**2, 8))),
    **dict.fromkeys(("gbit", "gigabit"), ("bytes", Fraction(1000**3, 8))),
    **dict.fromkeys(("tbit", "terabit"), ("bytes", Fraction(1000**4, 8))),
    **dict.fromkeys(("b", "byte"), ("bytes", Fraction(1))),
    **dict.fromkeys(("kb", "kilobyte"), ("bytes", Fraction(1000))),
    **dict.fromkeys(("mb", "megabyte"), ("bytes", Fraction(1000**2))),
    **dict.fromkeys(("gb", "gigabyte"), ("bytes", Fraction(1000**3))),
    **dict.fromkeys(("tb", "terabyte"), ("bytes", Fraction(1000**4))),
    **dict.fromkeys(("pb", "petabyte"), ("bytes", Fraction(1000**5))),
    "kib": ("bytes", Fraction(_KIB)),
    "mib": ("bytes", Fraction(_KIB**2)),
    "gib": ("bytes", Fraction(_KIB**3)),
    "tib": ("bytes", Fraction(_KIB**4)),
    "pib": ("bytes", Fraction(_KIB**5)),
    **dict.fromkeys(("%", "percent", "per cent", "percentage"), ("ratio", Fraction(1, 100))),
    **dict.fromkeys(("ratio", "fraction", "times", "x", "fold"), ("ratio", Fraction(1))),
    **dict.fromkeys(("$", "usd", "dollar"), ("money", Fraction(1))),
    "cent": ("money", Fraction(1, 100)),
}
_PER: dict[str, Fraction] = {
    **dict.fromkeys(("s", "sec", "second"), Fraction(1)),
    **dict.fromkeys(("min", "minute"), Fraction(60)),
    **dict.fromkeys(("h", "hr", "hour"), Fraction(3600)),
    **dict.fromkeys(("d", "day"), Fraction(86_400)),
}
_SCALES = {"hundred": 100, "k": 1000, "thousand": 1000, "million": 10**6, "m": 10**6, "billion": 10**9, "bn": 10**9}
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90
}  # fmt: skip
_WORDS: dict[str, int | Fraction] = {
    "zero": 0, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17,
    "eighteen": 18, "nineteen": 19, **_TENS, "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9,
    "couple": 2, "dozen": 12, "twice": 2, "thrice": 3, "double": 2, "doubled": 2, "doubles": 2, "triple": 3,
    "tripled": 3, "triples": 3, "half": Fraction(1, 2), "halved": Fraction(1, 2), "third": Fraction(1, 3),
    "quarter": Fraction(1, 4),
}  # fmt: skip
_VAGUE = {"dozens": 12, "hundreds": 100, "thousands": 1000, "millions": 10**6, "billions": 10**9}
"""From one of them to ten."""

_ONES = {"one": 1, **{word: value for word, value in _WORDS.items() if 2 <= value <= 9 and word not in {"twice"}}}
_AS_RATIO = frozenset(
    {"twice", "thrice", "double", "doubled", "doubles", "triple", "tripled", "triples", "half", "halved"}
    | {"third", "quarter"}
)
_THINGS = frozenset({"shard", "record", "stream", "call", "consumer", "period", "point", "alarm", "metric"})
"""What facts are counted in: a number of them is no number of anything else."""

_ABOUT = re.compile(r"(?:about|around|roughly|nearly|almost|approximately|some|circa|~|≈|over|under)\s*\$?$", re.I)
_NUMBER = re.compile(
    r"(?P<money>(?:\bUS)?\$\s?|\bUSD\s?)?"
    r"(?P<digits>(?:(?<![\w%)])[+\-\u2212])?\d(?:,?\d)*(?:\.\d+)?(?:[eE][+-]?\d{1,2}(?!\d))?)"
    r"|\b(?P<word>(?:" + "|".join(_TENS) + r")[- ](?:" + "|".join(_ONES) + r")"
    r"|" + "|".join(sorted((*_WORDS, *_VAGUE), key=len, reverse=True)) + r")(?P<fold>-?fold)?\b",
    re.I,
)  # an exponent of more digits would take hours to be worked out
_SCALE = re.compile(r"[\s-]?(hundred|thousand|million|billion|bn|k|M)(?![A-Za-z/])")
_UNIT = re.compile(
    r"[\s-]?(?:(?:full|whole|entire|more|extra|further|consecutive)\s)?(%|per cent|[A-Za-zµ]+)"
    r"(?:\s?(?:/|per\b|an?\b|each\b)\s?([A-Za-z]+))?"
)
_PER_WHAT = re.compile(r"\s?(?:/|per\b|an?\b|each\b)\s?([A-Za-z]+)")
_SLASH = re.compile(r"\s?/\s?|\sper\s|\san?\s")
_DENIED = re.compile(r"\b(?:no|not|none|nothing|never|neither|nor)\b[^.!?]*$", re.I)
_GAP = re.compile(r"(?<=\d)[\u00a0\u2009\u202f'](?=\d{3}(?!\d))")
_QUANTILE = re.compile(r"(?<![\w.-])p\d{1,2}(?:\.\d)?(?![\w-])", re.I)
_PERCENTILE = re.compile(r"\b(\d{1,2}(?:\.\d)?)th[ -]percentile", re.I)
_MOMENT = re.compile(r"(?:(\d{4}-\d{2}-\d{2}) )?(\d{2}:\d{2})( UTC)?")
_OTHER_MONEY = re.compile(r"[€£¥₹]|\b(?:EUR|GBP|JPY|euros?|yen)\b", re.I)
"""Costs are in US dollars."""

_LOOKED_BACK = 200
"""Characters before a zero in which it may be denied."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:Z|\+00:00)?)?")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as prose tells it: its value in ``unit`` (None: none that is known), and half of what it was rounded to.

    ``kind`` is the dimension of the unit, such as ``bytes/time``; ``value`` and ``slack`` are in that dimension's own
    unit where ``kind`` is set. ``word`` is the word that follows, where it is no known unit.
    """

    text: str
    value: Fraction
    slack: Fraction
    kind: str | None
    word: str


@dataclass(frozen=True, slots=True)
class _Value:
    """A fact's number: ``converted`` to its kind's own unit where the unit is known, else counted in ``word``."""

    kind: str | None
    converted: Fraction
    bare: Fraction
    word: str


def quantities(sentence: str) -> list[Quantity]:
    """Every number of a sentence, in order."""
    return list(_quantities(sentence))


def _quantities(sentence: str) -> Iterator[Quantity]:
    at = 0
    while found := _NUMBER.search(sentence, at):
        at = found.end()
        if not _no_number(sentence, found):
            one, at = _quantity(sentence, found)
            yield one


def unsupported(sentence: str, facts: Iterable[Mapping[str, Any]], names: Iterable[str] = ()) -> list[str]:
    """The numbers and quantiles of a sentence that are no fact's, as they stand there; none where all are supported.

    Parameters
    ----------
    facts
        As ``Fact.to_dict`` tells them.
    names
        Names that the sentence may hold, digits and all: of streams, of the dates of the range.
    """
    facts = list(facts)
    told = [part for one in facts if isinstance(one.get("value"), str) for part in _parts(one["value"])]
    sentence = _plain(sentence)
    for name in sorted({_plain(name) for name in (*names, *told)}, key=len, reverse=True):
        sentence = _without(sentence, name)
    known = " ".join(f"{one.get('name')} {one.get('source')}" for one in facts).lower()
    quantiles = {found[0] for found in _QUANTILE.finditer(known)}
    wrong = [found[0] for found in _QUANTILE.finditer(sentence) if facts and found[0].lower() not in quantiles]
    wrong += [found[0] for expression in (_DATE, _OTHER_MONEY) for found in expression.finditer(sentence)]
    sentence = _DATE.sub("then", sentence)
    values = [_fact_value(one) for one in facts if _is_number(one.get("value"))]
    counted = {value.word for value in values if value.word}
    return wrong + [one.text for one in _quantities(sentence) if not any(_is(one, value, counted) for value in values)]


def _plain(text: str) -> str:
    """One way of writing what has several: wide digits, fractions of one sign, spaces in a number, 99th percentile."""
    text = unicodedata.normalize("NFKC", _GAP.sub(",", text)).replace("\u03bc", "\u00b5")
    return _PERCENTILE.sub(r"p\1", text)


def _parts(value: str) -> Iterator[str]:
    """A fact's words, and of a moment the day and the time."""
    yield value
    if found := _MOMENT.fullmatch(value):
        yield from filter(None, (found[1], f"{found[2]}{found[3] or ''}", found[2]))


def _without(sentence: str, name: str) -> str:
    """The sentence without a name that has numbers in it."""
    if name not in sentence or not _NUMBER.search(name):
        return sentence
    spaced = re.sub(r"[-_]", " ", name).strip()
    one = next(_quantities(spaced), None)
    if one is not None and one.text == spaced:
        return re.sub(rf"(\bstream\s+[`'\"]?|[`'\"]){re.escape(name)}(?![\w-])", r"\1it", sentence, flags=re.I)
    return re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", "it", sentence)


def _no_number(sentence: str, found: re.Match[str]) -> bool:
    """Whether it is none: digits of a name, as in p99 or shardId-000000000001, or a zero that is denied."""
    if found["word"] or found["money"]:
        denied = (found["word"] or "").lower() == "zero" and _DENIED.search(
            sentence[max(0, found.start() - _LOOKED_BACK) : found.start()]
        )
        return bool(denied)
    glued = re.search(r"[\w.-]*$", sentence[: found.start()])
    before = glued[0] if glued is not None else ""
    return bool(re.match(r"[A-Za-z_]", before)) and before.lower() != "x" and not before.endswith(".")


def _quantity(sentence: str, found: re.Match[str]) -> tuple[Quantity, int]:
    """A number, and where the next can begin."""
    value, step = _worth(found)
    end = found.end()
    while scaled := _SCALE.match(sentence, end):
        factor = _SCALES[scaled[1].lower()]
        value, step, end = value * factor, step * factor, scaled.end()
    after = end
    if value and _ABOUT.search(sentence[: found.start()]):
        step = max(step, Fraction(10) ** (len(str(int(abs(value)))) - 2) if abs(value) >= 1 else step)
    kind, factor_, word, end = _unit(sentence, end, bool(found["money"]))
    if found["word"] and (found["fold"] or found["word"].lower() in _AS_RATIO):
        kind, factor_, word = "ratio", Fraction(1), ""
    return Quantity(sentence[found.start() : end].strip(), value * factor_, step * factor_ / 2, kind, word), after


def _worth(found: re.Match[str]) -> tuple[Fraction, Fraction]:
    """The value that is written, and the step that it may have been rounded by."""
    if not found["word"]:
        digits = found["digits"].replace(",", "").replace("\u2212", "-")
        value, step = Fraction(digits), _step(digits)
        return value, step if value or step < 1 else Fraction(0)
    word = found["word"].lower()
    if word in _VAGUE:
        return _VAGUE[word] * Fraction(11, 2), Fraction(_VAGUE[word] * 9)
    tens, _, ones = word.replace(" ", "-").partition("-")
    return Fraction(_WORDS[tens] + _ONES.get(ones, 0)), Fraction(1, 100) if _WORDS[tens] else Fraction(0)


def _step(digits: str) -> Fraction:
    """The worth of the last digit that is written."""
    mantissa, _, exponent = digits.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    return Fraction(10) ** (int(exponent or 0) - decimals)


def _unit(sentence: str, end: int, money: bool) -> tuple[str | None, Fraction, str, int]:
    """The kind and factor of the unit that begins there, the word where it is none, and where the unit ends."""
    if money:
        per = _PER_WHAT.match(sentence, end)
        kind, factor, _ = _known("$", per[1] if per else None)
        return kind, factor, "", per.end() if per else end
    found = _UNIT.match(sentence, end)
    if not found:
        return None, Fraction(1), "", end
    kind, factor, word = _known(found[1], found[2])
    return kind, factor, word, found.end() if kind else end


def _known(unit: str, per: str | None) -> tuple[str | None, Fraction, str]:
    name = _singular(unit)
    kind, factor = _UNITS.get(name, (None, Fraction(1)))
    if per is None:
        return kind, factor, "" if kind else name
    each = _singular(per)
    if each not in _PER:
        return f"{kind or name}/{each}", factor, ""
    return f"{kind or name}/time", factor / _PER[each], ""


def _singular(word: str) -> str:
    lowered = word.lower()
    if lowered in _UNITS or lowered in _PER or len(lowered) < 4 or lowered.endswith("ss"):
        return lowered
    return lowered.removesuffix("s")


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and value == value and abs(value) != float("inf")
    )


def _fact_value(fact: Mapping[str, Any]) -> _Value:
    bare, unit = Fraction(fact["value"]), str(fact.get("unit") or "")
    name, per = _SLASH.split(unit, maxsplit=1) if _SLASH.search(unit) else (unit, "")
    if not name.strip():
        return _Value(None, bare, bare, "")
    kind, factor, word = _known(name.split()[0], per.strip() or None)
    return _Value(kind, bare * factor, bare, "" if kind else _singular(name.split()[-1]) or word)


def _is(one: Quantity, value: _Value, counted: set[str]) -> bool:
    """Whether a number is a fact's: in its kind of unit, in its word, or, where it has neither, by its bare value."""
    if one.kind is not None:
        return value.kind == one.kind and _near(one, value.converted)
    if one.word in counted:
        return value.word == one.word and _near(one, value.bare)
    if one.word in _THINGS and (value.kind or value.word):
        return False
    return _near(one, value.bare)


def _near(one: Quantity, value: Fraction) -> bool:
    # What is written exactly may be a rounded float: what is beyond its last digits is no other number.
    return abs(one.value - value) <= one.slack + abs(value) / 10**12

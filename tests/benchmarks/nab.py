"""How the Numenta Anomaly Benchmark scores a detector, its standard profile.

The first detection in a labelled window earns up to one, the earlier the more; a window without a detection costs one;
each detection outside costs up to 0.11, the further behind the last window the more. The first 15 % of a series, at
most 750 points, teach the detector and are not scored. A score is told on a scale where the detector that finds nothing
has 0 and the one that finds every window at its first point, and nothing else, has 100.

Source: Lavin and Ahmad, Evaluating Real-time Anomaly Detection Algorithms - the Numenta Anomaly Benchmark, ICMLA 2015
(https://arxiv.org/abs/1510.03336), sections II.B to II.D.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE = 1.0, 0.11, 1.0
PROBATION_SHARE, PROBATION_POINTS = 0.15, 750
FAR = 3.0  # window widths behind a window where a detection costs all of FALSE_POSITIVE

Window = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Gain:
    """What a detection at one point is worth; `window` is None outside all windows, where worth adds up."""

    worth: float
    window: int | None


@dataclass(frozen=True, slots=True)
class Series:
    """A series to score: what its points are worth (None in probation) and how many windows it has."""

    gains: tuple[Gain | None, ...]
    windows: int


def sigmoid(position: float) -> float:
    """What a detection is worth by its place: -1 is a window's left edge, 0 its right edge, above 0 behind it."""
    return -1.0 if position > FAR else 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0


def probation(points: int) -> int:
    """How many of a series' first points are not scored."""
    return min(int(points * PROBATION_SHARE), PROBATION_POINTS)


def series(times: Sequence[float], windows: Iterable[Window]) -> Series:
    """What a detection at each point of a series is worth.

    Parameters
    ----------
    times
        The points' times, rising.
    windows
        First and last time of each labelled window; they do not overlap.
    """
    spans = [(bisect_left(times, first), bisect_right(times, last) - 1) for first, last in sorted(windows)]
    spans = [(left, right) for left, right in spans if left <= right]
    gains: list[Gain | None] = []
    coming, past = 0, None
    for index in range(len(times)):
        if coming < len(spans) and index > spans[coming][1]:
            past, coming = spans[coming], coming + 1
        if coming < len(spans) and index >= spans[coming][0]:
            gains.append(_inside(index, *spans[coming], coming))
        else:
            gains.append(_outside(index, past))
    quiet = probation(len(times))
    return Series((*[None] * min(quiet, len(times)), *gains[quiet:]), len(spans))


def _inside(index: int, left: int, right: int, window: int) -> Gain:
    position = -(right - index + 1) / (right - left + 1)
    return Gain(TRUE_POSITIVE * sigmoid(position) / sigmoid(-1.0), window)


def _outside(index: int, past: tuple[int, int] | None) -> Gain:
    if past is None:
        return Gain(-FALSE_POSITIVE, None)
    left, right = past
    return Gain(FALSE_POSITIVE * sigmoid((index - right) / max(right - left, 1)), None)


def raw(scored: Series, scores: Sequence[float], threshold: float) -> float:
    """Sum of a series' gains and costs when every point scored at least `threshold` is a detection."""
    found: dict[int, float] = {}
    outside = 0.0
    for gain, score in zip(scored.gains, scores, strict=True):
        if gain is None or score < threshold:
            continue
        if gain.window is None:
            outside += gain.worth
        else:
            found[gain.window] = max(found.get(gain.window, -FALSE_NEGATIVE), gain.worth)
    return outside + sum(found.values()) - FALSE_NEGATIVE * (scored.windows - len(found))


def normalized(total: float, windows: int) -> float:
    """A sum over series with `windows` windows, on the scale from 0, nothing found, to 100, all found at once."""
    return 100.0 * (total + windows * FALSE_NEGATIVE) / (windows * (TRUE_POSITIVE + FALSE_NEGATIVE))


def best_threshold(corpus: Mapping[str, Series], scores: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    """The one threshold for all series at which their sum is greatest, and that sum: (threshold, sum).

    All points are taken from the highest score down; after each score that no further point shares, the sum so far is
    what that score as a threshold would bring. A threshold above every score finds nothing; a score of 0 is none.
    """
    points = [
        (score, name, gain)
        for name, scored in corpus.items()
        for score, gain in zip(scores[name], scored.gains, strict=True)
        if gain is not None and score > 0.0
    ]
    points.sort(key=lambda point: point[0], reverse=True)
    found: dict[tuple[str, int], float] = {}
    total = -FALSE_NEGATIVE * sum(scored.windows for scored in corpus.values())
    best = (math.inf, total)
    for place, (score, name, gain) in enumerate(points):
        if gain.window is None:
            total += gain.worth
        else:
            before = found.get((name, gain.window), -FALSE_NEGATIVE)
            found[name, gain.window] = max(before, gain.worth)
            total += found[name, gain.window] - before
        last = place + 1 == len(points) or points[place + 1][0] < score
        if last and total > best[1]:
            best = (score, total)
    return best

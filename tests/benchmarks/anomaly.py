"""Run the anomaly detector over a folder of series, and score it when the folder says where the anomalies are.

    python tests/benchmarks/anomaly.py --data DIR --out DIR

Every CSV file in DIR and below it (columns `timestamp,value`; times in UTC) is written to the other DIR with a third
column, `anomaly_score`, from 0 to 1. The detector sees the points one by one, in order, and no file's name.
`labels.json` in DIR (`{file: {"windows": [[first, last], ...]}}`) is read for the score alone (`nab.py`).
"""

import argparse
import csv
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "layers/weir/python")]

from tests.benchmarks import nab  # noqa: E402 - run as a file, nothing else tells where the packages are
from weir.analysis.anomalies import THRESHOLD, Detector  # noqa: E402

Scores = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Points:
    """A file's rows as they were written, and what they say."""

    rows: tuple[tuple[str, str], ...]
    times: tuple[float, ...]
    values: tuple[float | None, ...]


def seconds(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 time, UTC when it names no zone."""
    at = datetime.fromisoformat(text.strip())
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def number(text: str) -> float | None:
    """A value, or None where there is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read(path: Path) -> Points:
    """A series from its file; the header is checked.

    Raises
    ------
    ValueError
        The file has other columns, or a row's time is none.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file)
        if [name.strip() for name in next(lines, [])][:2] != ["timestamp", "value"]:
            raise ValueError(f"{path}: the columns are not timestamp,value")
        rows = tuple((line[0], line[1] if len(line) > 1 else "") for line in lines if line)
    return Points(rows, tuple(seconds(at) for at, _ in rows), tuple(number(value) for _, value in rows))


def judge(points: Points) -> tuple[list[float], float]:
    """A series' scores, and the CPU seconds that they took."""
    detector, began = Detector(), time.process_time()
    scores = [detector.observe(at, value).score for at, value in zip(points.times, points.values, strict=True)]
    return scores, time.process_time() - began


def write(path: Path, points: Points, scores: Sequence[float]) -> None:
    """A series with its scores."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(("timestamp", "value", "anomaly_score"))
        out.writerows((*row, f"{score:.6f}") for row, score in zip(points.rows, scores, strict=True))


def labelled(folder: Path, series: Mapping[str, Points]) -> dict[str, nab.Series]:
    """What the points of each labelled series are worth; empty without labels."""
    labels = folder / "labels.json"
    if not labels.is_file():
        return {}
    windows = {
        name: [(seconds(first), seconds(last)) for first, last in said["windows"]]
        for name, said in json.loads(labels.read_text()).items()
    }
    return {name: nab.series(series[name].times, windows[name]) for name in series if name in windows}


def left_out(corpus: Mapping[str, nab.Series], scores: Scores) -> float:
    """The sum when every series is judged with the threshold that is best for the other ones."""
    total = 0.0
    for name, scored in corpus.items():
        others = {other: corpus[other] for other in corpus if other != name}
        total += nab.raw(scored, scores[name], nab.best_threshold(others, scores)[0])
    return total


def print_scores(corpus: Mapping[str, nab.Series], scores: Scores) -> None:
    """One line a file, then all of them together, at the detector's threshold and at the best one."""
    print(f"{'file':44} windows found false alarms    sum  score")
    for name, scored in corpus.items():
        alarms = [gain for gain, score in zip(scored.gains, scores[name], strict=True) if gain and score >= THRESHOLD]
        found = len({gain.window for gain in alarms} - {None})
        outside = sum(gain.window is None for gain in alarms)
        total = nab.raw(scored, scores[name], THRESHOLD)
        score = f"{nab.normalized(total, scored.windows):6.1f}" if scored.windows else "     -"
        print(f"{name:44} {scored.windows:7} {found:5} {outside:12} {total:6.2f} {score}")
    windows = sum(scored.windows for scored in corpus.values())
    if not windows:
        return
    fixed = sum(nab.raw(scored, scores[name], THRESHOLD) for name, scored in corpus.items())
    threshold, best = nab.best_threshold(corpus, scores)
    print(f"\nscore at the detector's threshold, {THRESHOLD}: {nab.normalized(fixed, windows):.1f}")
    print(f"score at the best threshold for these series, {threshold:.4f}: {nab.normalized(best, windows):.1f}")
    if len(corpus) > 1:
        apart = nab.normalized(left_out(corpus, scores), windows)
        print(f"score with each series judged by the best threshold of the others: {apart:.1f}")


def main() -> None:
    """Read, judge, write, score."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of CSV files: timestamp,value")
    parser.add_argument("--out", type=Path, required=True, help="folder to write them to, with anomaly_score")
    asked = parser.parse_args()
    if asked.data.resolve() == asked.out.resolve():
        parser.error("--out is --data: the series would be written over")
    ours = asked.out.resolve()
    paths = sorted(path for path in asked.data.rglob("*.csv") if not path.resolve().is_relative_to(ours))
    if not paths:
        parser.error(f"no CSV file in {asked.data}")
    series = {path.relative_to(asked.data).as_posix(): read(path) for path in paths}
    scores: dict[str, list[float]] = {}
    spent = 0.0
    for name, points in series.items():
        scores[name], took = judge(points)
        spent += took
        write(asked.out / name, points, scores[name])
    corpus = labelled(asked.data, series)
    if corpus:
        print_scores(corpus, scores)
    count = sum(len(points.rows) for points in series.values())
    print(f"{len(series)} series, {count:,} points, {spent / max(count, 1) * 1e6:.1f} us of CPU a point")


if __name__ == "__main__":
    main()

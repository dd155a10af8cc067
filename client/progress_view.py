"""A run on the terminal while it goes on: a live picture where there is a terminal, lines of text where there is none.

Texts of the API go through ``Text``, so that square brackets in a name can't become terminal markup.
"""

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table

from client.plain import Text
from client.progress import Bar, ProgressLog, StepLine

__all__ = ["LiveView", "PlainView", "view_for"]

Json = Mapping[str, Any]

_COUNTS = ("retried", "throttled", "rejected")
_TOLD_EVERY_SECONDS = 5.0
_BAR_COLUMNS = 16


def view_for(console: Console, records: int | None = None) -> "LiveView | PlainView":
    """A live picture where the console is a terminal that can move its cursor, else lines."""
    live = console.is_terminal and not console.is_dumb_terminal
    return LiveView(console, records) if live else PlainView(console, records)


class LiveView:
    """Redraws all steps in place. Use as a context manager."""

    def __init__(self, console: Console, records: int | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._log = ProgressLog(records)
        self._monotonic = monotonic
        self._began = monotonic()
        self._ascii = console.options.ascii_only
        self._spinners: dict[str, Spinner] = {}
        self._said: str | None = None
        self._live = Live(console=console, refresh_per_second=10)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()

    def show(self, run: Json) -> None:
        """Draw the run as it stands now."""
        now = self._monotonic()
        self._live.update(self._picture(run, self._log.lines(run, now), now), refresh=True)

    def say(self, words: str) -> None:
        """Put words under the picture, in place of its hint."""
        self._said = words

    def _picture(self, run: Json, lines: list[StepLine], now: float) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=2, justify="right")
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True, min_width=7)
        table.add_column()
        for line in lines:
            taken = "" if line.seconds is None else f"{line.seconds:.1f} s"
            style = {"PENDING": "bright_black", "FAILED": "red"}.get(line.status, "")
            about = self._about(line)
            table.add_row(self._mark(line), Text(line.title, style), Text(taken, "bright_black"), about)
        return Group(table, self._foot(run, now))

    def _mark(self, line: StepLine) -> RenderableType:
        if line.status == "RUNNING":
            # The same spinner every time: a new one would begin at its first frame again.
            return self._spinners.setdefault(line.name, Spinner("line" if self._ascii else "dots", style="cyan"))
        done, failed, pending = ("+", "x", ".") if self._ascii else ("✓", "✗", "·")
        marks = {"DONE": (done, "green"), "FAILED": (failed, "red")}
        return Text(*marks.get(line.status, (pending, "bright_black")))

    def _about(self, line: StepLine) -> RenderableType:
        if line.bar is None:
            if line.status == "FAILED":
                return Text(line.detail or "", "red")
            # One row, whatever it says, so that the picture does not jump.
            return Text(line.detail or "", "bright_black", no_wrap=True, overflow="ellipsis")
        row = Table.grid(padding=(0, 1))
        cells: list[RenderableType] = [Text(counted(line.bar))]
        if line.bar.total:
            cells.insert(0, _bar(line.bar, line.bar.total))
        row.add_row(*cells)
        return Group(row, Text(line.detail, "red")) if line.detail else row

    def _foot(self, run: Json, now: float) -> Text:
        foot = Text(f"   {now - self._began:.0f} s", "bright_black")
        progress = run["progress"] or {}
        for name in _COUNTS:
            number = progress.get(name, 0)
            foot.append("   ").append(f"{number:,} {name}", "yellow" if number else "bright_black")
        if run["status"] != "CLOSED":
            foot.append("   ").append(self._said or "Ctrl-C stops it", "bold yellow" if self._said else "bright_black")
        return foot


class PlainView:
    """Prints a line where something begins, ends, or has gone on for a while. Use as a context manager."""

    def __init__(self, console: Console, records: int | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._log = ProgressLog(records)
        self._monotonic = monotonic
        self._told: dict[str, str] = {}
        self._told_at = monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing is held."""

    def show(self, run: Json) -> None:
        """Print what is new."""
        now = self._monotonic()
        lines = self._log.lines(run, now)
        for line in lines:
            if line.status in {"DONE", "FAILED"} and self._told.get(line.name) != line.status:
                self._told[line.name] = line.status
                self._print(line, "done" if line.status == "DONE" else "FAILED")
        if now - self._told_at >= _TOLD_EVERY_SECONDS:
            self._told_at = now
            for line in lines:
                if line.status == "RUNNING":
                    self._print(line, "running")

    def say(self, words: str) -> None:
        """Print words on a line of their own."""
        self._console.print(Text(words))

    def _print(self, line: StepLine, status: str) -> None:
        parts = [counted(line.bar) if line.bar else "", line.detail or ""]
        about = "  ".join(part for part in parts if part)
        words = f"  {status:<8}{line.title:<24}{line.seconds or 0:>6.1f} s  {about}"
        self._console.print(Text(words.rstrip()), soft_wrap=True)


def _bar(bar: Bar, total: int) -> ProgressBar:
    return ProgressBar(
        total=total, completed=bar.done, width=_BAR_COLUMNS, complete_style="cyan", finished_style="green"
    )


def counted(bar: Bar) -> str:
    """A bar in words, such as ``8,000 of 67,740 at 8,120/s``."""
    of = f" of {bar.total:,}" if bar.total else " records"
    rate = f" at {bar.per_second:,.0f}/s" if bar.per_second else ""
    return f"{bar.done:,}{of}{rate}"

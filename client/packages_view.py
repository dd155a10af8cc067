"""Packages on the terminal: bars while bytes move, tables of what there is. Texts of the API go through ``Text``."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from client.packages_verify import Compared
from client.plain import Text
from client.tables import put, table_of

__all__ = [
    "Bars",
    "Lines",
    "bars_for",
    "show_compared",
    "show_package",
    "show_packages",
    "show_report",
    "show_signature",
    "show_version",
]

Json = Mapping[str, Any]

_STYLES = {
    **dict.fromkeys(("AVAILABLE", "PASSED", "passed", "pass", "same"), "green"),
    **dict.fromkeys(("QUARANTINED", "REJECTED", "FAILED", "failed", "fail", "differs", "missing", "extra"), "red"),
    **dict.fromkeys(("INITIATED", "UPLOADING", "COMMITTING", "SCANNING"), "cyan"),
}


def bars_for(console: Console) -> "Bars | Lines":
    """Bars where the console is a terminal that can move its cursor, else lines."""
    return Bars(console) if console.is_terminal and not console.is_dumb_terminal else Lines(console)


class Bars:
    """A bar for each phase. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self._progress = Progress(TextColumn("{task.description:<26}"), *columns, console=console)
        self._task: TaskID | None = None
        self._total = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()

    def begin(self, words: str, total: int) -> None:
        """A phase of so many bytes; of none: one whose length nobody knows."""
        if self._task is not None and not self._total:
            self._progress.remove_task(self._task)  # or it would seem to go on
        self._task, self._total = self._progress.add_task(words, total=total or None), total

    def moved(self, count: int) -> None:
        """So many more bytes have moved."""
        if self._task is not None:
            self._progress.advance(self._task, count)

    def say(self, words: str) -> None:
        """Words above the bars."""
        self._progress.console.print(Text(words), soft_wrap=True)


class Lines:
    """A line where a phase ends. Use as a context manager."""

    def __init__(self, console: Console, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._console, self._monotonic = console, monotonic
        self._lock = threading.Lock()
        self._phase: tuple[str, float] | None = None
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end("done" if kind is None else "FAILED")

    def begin(self, words: str, total: int) -> None:  # noqa: ARG002
        """A phase; the one before is told."""
        self._end("done")
        self._phase, self._bytes = (words, self._monotonic()), 0

    def moved(self, count: int) -> None:
        """So many more bytes have moved."""
        with self._lock:
            self._bytes += count

    def say(self, words: str) -> None:
        """Words on a line of their own."""
        self._console.print(Text(words), soft_wrap=True)

    def _end(self, how: str) -> None:
        if self._phase is None:
            return
        (words, began), self._phase = self._phase, None
        seconds = self._monotonic() - began
        rate = f"  {sized(self._bytes)} at {sized(self._bytes / seconds)}/s" if self._bytes and seconds > 0 else ""
        self.say(f"  {how:<8}{words:<26}{seconds:>8.1f} s{rate}")


def sized(count: float) -> str:
    """Bytes as people write them, in powers of 1000: ``1.5 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def show_packages(packages: Iterable[Json], console: Console) -> None:
    """One line a package."""
    table = table_of("package", "latest", "owner", "sensitivity", "tags", "description")
    for one in packages:
        latest, tags = Text(one["latest"] or "-"), Text(", ".join(one["tags"]))
        about = (Text(one["owner"]), Text(one["sensitivity"]), tags, Text(one["description"]))
        table.add_row(Text(one["name"]), latest, *about)
    if table.rows:
        put(table, console)
    else:
        console.print(Text("No package is found. `weir packages push` makes one."))


def show_package(card: Json, console: Console) -> None:
    """A package, its aliases, and its versions."""
    console.print(Text(card["name"], "bold").append(f"  {card['description']}", "bright_black"), soft_wrap=True)
    console.print(Text(f"  owner {card['owner']}, {card['sensitivity']}"), soft_wrap=True)
    for name, values in (("groups", card["allowed_groups"]), ("tags", card["tags"])):
        if values:
            console.print(Text(f"  {name}: {', '.join(values)}"), soft_wrap=True)
    for one in card["aliases"]:
        console.print(Text(f"  {one['alias']} is {one['version']}"))
    table = table_of("  version", "state", "created", "yanked")
    for one in card["versions"]:
        created = Text(one["created_at"][:19] + "Z")
        table.add_row(Text(f"  {one['version']}"), _styled(one["state"]), created, Text(one["yanked"] or ""))
    put(table, console)


def show_version(version: Json, console: Console) -> None:
    """A version and its files."""
    console.print(Text(f"{version['name']} {version['version']}  ", "bold").append_text(_styled(version["state"])))
    for name in ("description", "reason", "yanked"):
        if version.get(name):
            console.print(Text(f"  {name}: {version[name]}"), soft_wrap=True)
    for name, value in sorted(version["metadata"].items()):
        console.print(Text(f"  {name}: {value}"), soft_wrap=True)
    table = table_of("  file", "state", "size", "SHA-256")
    for one in version["files"]:
        state = _styled(one["state"] or "")
        table.add_row(Text(f"  {one['path']}"), state, Text(sized(one["size"])), Text(one["sha256"]))
    put(table, console)


def show_compared(compared: Sequence[Compared], version: Json, console: Console) -> None:
    """What differs, line by line, how many files are the same, and how the version stands."""
    for one in compared:
        if one.verdict != "same":
            console.print(_styled(f"{one.verdict:<8}", one.verdict).append(f"{one.path}  {one.detail}"), soft_wrap=True)
    same = sum(one.verdict == "same" for one in compared)
    console.print(Text(f"{same:,} of {len(compared):,} files are the same, by size and SHA-256."), soft_wrap=True)
    console.print(Text(f"{version['name']} {version['version']} is ").append_text(_styled(version["state"])))


def show_signature(signature: Json | None, console: Console) -> None:
    """Who has signed a version, as the registry has verified it."""
    if signature is None:
        console.print(Text("The version is not signed."))
    elif signature["trusted"]:
        keys = ", ".join(signature["trusted"])
        console.print(Text(f"Signed {signature['signed_at']}, verified with the key {keys}.", "green"), soft_wrap=True)
    else:
        console.print(Text("Signed, but by no key that is registered now.", "yellow"))


def show_report(report: Json, console: Console) -> None:
    """Each rule with its verdict and evidence."""
    table = table_of("rule", "verdict", "evidence")
    for one in report["rules"]:
        table.add_row(Text(one["rule"]), _styled(one["verdict"]), Text(str(one["evidence"])))
    put(table, console)
    console.print(Text("In all: ").append_text(_styled(report["verdict"])))


def _styled(words: str, of: str | None = None) -> Text:
    return Text(words, _STYLES.get(of or words, ""))

"""A run on the terminal while it goes on."""

import io
from typing import Any

from rich.console import Console

from client.progress_view import LiveView, PlainView, view_for
from tests.unit.client.answers import a_run, step
from weir.runs.models import Progress, Verdict

RUNNING = a_run(
    step("Plan", 0, 0.5, detail="costs [red]$1[/red]"),
    step("Insert", 1),
    progress=Progress(planned=1000, accepted=400, throttled=3),
)
CLOSED = a_run(
    step("Plan", 0, 0.5),
    step("Insert", 1, 3),
    step("Close", 4, 4.1),
    verdict=Verdict.PASSED,
    progress=Progress(planned=1000, accepted=1000, seen=1000),
)


def terminal(width: int = 80, encoding: str = "utf-8", tty: bool = True) -> tuple[Console, io.BytesIO]:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    return Console(file=file, width=width, force_terminal=tty, color_system=None, legacy_windows=False), raw


def live(run: dict[str, Any], words: str | None = None, **console: Any) -> str:
    on, raw = terminal(**console)
    with LiveView(on, None, monotonic=lambda: 7.0) as view:
        if words:
            view.say(words)
        view.show(run)
    # The last picture: what was drawn before it is erased line by line.
    return raw.getvalue().decode().rpartition("\x1b[2K")[2]


def test_a_terminal_gets_a_picture_and_a_file_gets_lines() -> None:
    assert isinstance(view_for(terminal(tty=True)[0]), LiveView)
    assert isinstance(view_for(terminal(tty=False)[0]), PlainView)


def test_the_picture_tells_steps_counts_and_how_to_stop() -> None:
    text = live(RUNNING)
    for words in ("✓ Plan", "0.5 s", "Insert", "400 of 1,000", "· Analyze", "3 throttled", "Ctrl-C stops it"):
        assert words in text


def test_what_the_api_says_is_no_markup() -> None:
    assert "costs [red]$1[/red]" in live(RUNNING)


def test_words_take_the_place_of_the_hint() -> None:
    text = live(RUNNING, words="Stopping")
    assert "Stopping" in text
    assert "Ctrl-C" not in text


def test_a_closed_run_can_not_be_stopped() -> None:
    assert "Ctrl-C" not in live(CLOSED)


def test_a_step_that_failed_shows_all_of_its_reason() -> None:
    reason = "the stream went away " * 8
    run = a_run(step("Insert", 0, 1, status="FAILED", detail=reason.strip()))
    text = live(run)
    assert "✗ Insert" in text
    assert text.count("went") == 8


def test_a_terminal_without_unicode_gets_none() -> None:
    text = live(RUNNING, encoding="ascii")
    assert "+ Plan" in text
    assert text.isascii()


def test_a_narrow_terminal_keeps_one_row_a_step() -> None:
    run = a_run(step("Plan", 0, 0.5, detail="word " * 30))
    rows = live(run, width=60).splitlines()
    assert sum("Plan" in row for row in rows) == 1
    assert max(len(row) for row in rows if "Plan" in row) <= 60


def test_lines_are_printed_once_for_what_ended_and_now_and_then_for_what_runs() -> None:
    # Given a console that is no terminal, and a clock
    console, raw = terminal(tty=False)
    now = [0.0]
    view = PlainView(console, None, monotonic=lambda: now[0])

    # When a run is polled often
    with view:
        for _ in range(20):
            view.show(RUNNING)
            now[0] += 0.4
        view.say("Stopping")
        view.show(CLOSED)
    lines = raw.getvalue().decode().splitlines()

    # Then each end is one line, and what runs is told every 5 seconds
    assert sum("done    Plan" in line for line in lines) == 1
    assert sum("running Insert" in line for line in lines) == 1
    assert "  done    Insert                     2.0 s  1,000 of 1,000 at 500/s" in lines
    assert "Stopping" in lines
    assert sum("Judge" in line for line in lines) == 1

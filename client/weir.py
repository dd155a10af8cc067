"""``python -m client.weir``: the ``weir`` command line.

Exit codes: 0 passed (or done), 1 failed, aborted, or not done, 2 not understood, 3 degraded, 130 left by Ctrl-C.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from rich.console import Console

from client import accounts, exits, tables
from client.api import Api, ApiError, Unreachable, UploadFailed
from client.lines import Lines, LinesUnusable, demo_lines, file_lines
from client.progress_view import view_for
from client.proving import demo_spec, prove, upload, write_page
from client.report_view import render
from client.signing import NotLoggedIn, Refused
from client.spec import SpecUnusable, add_options, spec_from
from client.target import REPOSITORY, STACK_FILE, Target, TargetUnknown, find_target
from client.watching import Left, watch

PAGE = REPOSITORY / ".local" / "report.html"
_TOLD = (ApiError, Unreachable, UploadFailed, LinesUnusable, NotLoggedIn, Refused, SpecUnusable, TargetUnknown)


def demo(options: argparse.Namespace, api: Api, console: Console) -> int:
    """Prove a stream with the demo's rows, or with a file of one's own."""
    lines = file_lines(options.file, options.key_field) if options.file else demo_lines()
    ordered = lines.key_field is not None
    spec = demo_spec(upload(api, lines, console), shards=options.shards, ordered=ordered)
    return prove(api, spec, console, records=lines.records, page=PAGE)


def run(options: argparse.Namespace, api: Api, console: Console) -> int:
    """Prove a stream as a spec says."""
    spec = spec_from(options)
    lines: Lines | None = None
    if options.file is not None:
        lines = file_lines(options.file, options.key_field)
        spec["load"]["source"] = upload(api, lines, console)
    if options.dry_run:
        _print(api.plan_run(spec), tables.show_plan, options, console)
        return exits.PASSED
    return prove(api, spec, console, records=lines.records if lines else None, page=options.html)


def runs(options: argparse.Namespace, api: Api, console: Console) -> int:
    """List runs."""
    _print(list(api.runs(options.limit)), tables.show_runs, options, console)
    return exits.PASSED


def show(options: argparse.Namespace, api: Api, console: Console) -> int:
    """Show a run, or watch it."""
    found: dict[str, Any] = api.run(options.run_id)
    if options.follow and found["status"] != "CLOSED":
        with view_for(console) as view:
            found = watch(api, options.run_id, view)
        return exits.of_verdict(found["verdict"])
    _print(found, tables.show_run, options, console)
    return exits.PASSED


def report(options: argparse.Namespace, api: Api, console: Console) -> int:
    """Show a run's report."""
    if options.html is not None:
        write_page(api, options.run_id, options.html, console)
    else:
        _print(api.report(options.run_id), render, options, console)
    return exits.PASSED


def stop(options: argparse.Namespace, api: Api, console: Console) -> int:
    """Stop a run and wait until its stream is gone."""
    api.stop(options.run_id)
    with view_for(console) as view:
        closed = watch(api, options.run_id, view)
    gone = closed["resources_left"] == 0
    console.print("Stopped; its stream is gone." if gone else "Stopped; its stream is not known to be gone yet.")
    return exits.PASSED if gone else exits.DEGRADED


def health(options: argparse.Namespace, api: Api, console: Console) -> int:
    """Ask whether Weir and what it depends on are well."""
    found = api.health(options.check or None)
    _print(found, tables.show_health, options, console)
    return {"ok": exits.PASSED, "degraded": exits.DEGRADED}.get(found["status"], exits.FAILED)


def _print(found: Any, draw: Callable[[Any, Console], None], options: argparse.Namespace, console: Console) -> None:
    """As JSON where that is asked for, else for people."""
    if options.json:
        console.print_json(data=found)
    else:
        draw(found, console)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="weir", description="Prove Kinesis streams end to end.", epilog=exits.__doc__)
    top.add_argument("--stack", type=Path, default=STACK_FILE, metavar="FILE", help="what `make up` wrote")
    top.add_argument("--url", help="the API of a deployed stage, instead: https://.../v1")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    one = commands.add_parser("demo", help="prove a stream with real metric rows, or with a file of your own")
    one.add_argument("file", nargs="?", type=Path, metavar="FILE", help="lines of your own, such as JSON lines")
    one.add_argument("--key-field", metavar="FIELD", help="JSON field of every line that is the partition key")
    one.add_argument("--shards", type=int, default=3, metavar="S")
    one.set_defaults(do=demo)

    one = commands.add_parser("run", help="prove a stream as a spec says")
    add_options(one)
    one.add_argument("--dry-run", action="store_true", help="show the plan and its cost, and start nothing")
    one.add_argument("--json", action="store_true", help="with --dry-run: the plan as JSON")
    one.add_argument("--html", type=Path, metavar="FILE", help="write the report there as a page")
    one.set_defaults(do=run)

    one = commands.add_parser("runs", help="list runs, newest first")
    one.add_argument("--limit", type=int, default=20, metavar="N")
    one.add_argument("--json", action="store_true")
    one.set_defaults(do=runs)

    _add_readers(commands)
    accounts.add_commands(commands)
    return top


def _add_readers(commands: Any) -> None:
    one = _of_run(commands, "show", "how a run stands")
    one.add_argument("--follow", action="store_true", help="watch it until it is closed")
    one.add_argument("--json", action="store_true")
    one.set_defaults(do=show)

    one = _of_run(commands, "report", "what a closed run came to")
    one.add_argument("--html", nargs="?", type=Path, const=PAGE, metavar="FILE", help=f"as a page; in {PAGE.name}")
    one.add_argument("--json", action="store_true")
    one.set_defaults(do=report)

    _of_run(commands, "stop", "stop a run, and wait until its stream is gone").set_defaults(do=stop)

    one = commands.add_parser("health", help="whether Weir and what it depends on are well")
    one.add_argument("check", nargs="?", default="all", metavar="CHECK", help="aws, db, llm by commas; '' asks nothing")
    one.add_argument("--json", action="store_true")
    one.set_defaults(do=health)


def _of_run(commands: Any, name: str, words: str) -> argparse.ArgumentParser:
    one: argparse.ArgumentParser = commands.add_parser(name, help=words)
    one.add_argument("run_id", metavar="RUN_ID")
    return one


def main(
    arguments: Sequence[str] | None = None,
    console: Console | None = None,
    connect: Callable[[Target], Api] = Api,
) -> int:
    """Do one command; a failure is told in one piece, without a stack trace."""
    options = parser().parse_args(arguments)
    console = console or Console(highlight=False)
    try:
        target = find_target(options.url, options.stack)
        api = connect(target)
        accounts.sign(api, target)
        try:
            code: int = options.do(options, api, console)
        finally:
            api.close()
    except _TOLD as error:
        print(error, file=sys.stderr)
        return exits.FAILED
    except (KeyboardInterrupt, Left):
        print("Left; what was started goes on, and cleans up behind itself.", file=sys.stderr)
        return exits.INTERRUPTED
    return code


def _as_interrupt(_: int, __: FrameType | None) -> NoReturn:
    # A CI job that is cancelled gets SIGTERM: it stops the run as Ctrl-C does.
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _as_interrupt)
    sys.exit(main())

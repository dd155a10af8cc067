"""``python -m client.weir``: the ``weir`` command line.

Exit codes: 0 passed (or done), 1 failed, aborted, or not done, 2 not understood, 3 degraded, 130 left by Ctrl-C.
"""

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from typer.core import TyperGroup

from client import accounts, exits, packages_commands, spec, tables
from client.api import Api, ApiError, Unreachable, UploadFailed
from client.here import AsJson, Here, here
from client.lines import Lines, LinesUnusable, demo_lines, file_lines
from client.plain import plain
from client.progress_view import view_for
from client.proving import demo_spec, prove, upload, write_page
from client.report_view import render
from client.signing import NotLoggedIn, Refused
from client.spec import SpecOptions, SpecUnusable, spec_from
from client.target import REPOSITORY, STACK_FILE, Target, TargetUnknown
from client.watching import Left, watch

PAGE = REPOSITORY / ".local" / "report.html"
_TOLD = (
    *(ApiError, Unreachable, UploadFailed, LinesUnusable, NotLoggedIn, Refused, SpecUnusable, TargetUnknown),
    *packages_commands.TOLD,
)

RunId = Annotated[str, typer.Argument(metavar="RUN_ID")]


class _Group(TyperGroup):
    """Lets Ctrl-C out as Left: typer would make a bare exit code of it."""

    def invoke(self, ctx: Any) -> Any:
        """The command's exit code."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Left from None


app = typer.Typer(
    cls=_Group,
    help="Prove Kinesis streams end to end, and keep model packages.",
    epilog=exits.__doc__,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def top(
    context: typer.Context,
    stack: Annotated[Path, typer.Option(metavar="FILE", help="what `make up` wrote")] = STACK_FILE,
    url: Annotated[str | None, typer.Option(help="the API of a deployed stage, instead: https://.../v1")] = None,
) -> None:
    """Which API the command is for."""
    at = here(context)
    at.stack, at.url = stack, url


@app.command()
def demo(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="lines of your own, such as JSON lines")] = None,
    key_field: Annotated[
        str | None, typer.Option(metavar="FIELD", help="JSON field of every line that is the partition key")
    ] = None,
    shards: Annotated[int, typer.Option(metavar="S")] = 3,
) -> int:
    """Prove a stream with real metric rows, or with a file of your own."""
    at = here(context)
    lines = file_lines(file, key_field) if file else demo_lines()
    ordered = lines.key_field is not None
    return prove(
        at.api,
        demo_spec(upload(at.api, lines, at.console), shards=shards, ordered=ordered),
        at.console,
        records=lines.records,
        page=PAGE,
    )


@app.command()
def run(
    context: typer.Context,
    spec: spec.Spec = None,
    records: spec.Records = None,
    file: spec.File = None,
    key_field: spec.KeyField = None,
    bytes: spec.Bytes = None,  # noqa: A002
    rate: spec.Rate = None,
    keys: spec.Keys = None,
    skew: spec.SkewOf = None,
    workers: spec.Workers = None,
    aggregated: spec.Aggregated = False,
    shards: spec.Shards = None,
    on_demand: spec.OnDemand = False,
    keep: spec.Keep = False,
    ordered: spec.Ordered = False,
    p99_ms: spec.P99 = None,
    min_rate: spec.MinRate = None,
    max_cost: spec.MaxCost = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show the plan and its cost, and start nothing")] = False,
    json: Annotated[bool, typer.Option("--json", help="with --dry-run: the plan as JSON")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="write the report there as a page")] = None,
) -> int:
    """Prove a stream as a spec says."""
    options = SpecOptions(
        spec=spec,
        records=records,
        file=file,
        key_field=key_field,
        bytes=bytes,
        rate=rate,
        keys=keys,
        skew=skew,
        workers=workers,
        aggregated=aggregated,
        shards=shards,
        on_demand=on_demand,
        keep=keep,
        ordered=ordered,
        p99_ms=p99_ms,
        min_rate=min_rate,
        max_cost=max_cost,
    )
    return _run(here(context), options, dry_run=dry_run, json=json, html=html)


def _run(at: Here, options: SpecOptions, *, dry_run: bool, json: bool, html: Path | None) -> int:
    wanted = spec_from(options)
    lines: Lines | None = None
    if options.file is not None:
        lines = file_lines(options.file, options.key_field)
        wanted["load"]["source"] = upload(at.api, lines, at.console)
    if dry_run:
        at.show(at.api.plan_run(wanted), tables.show_plan, json=json)
        return exits.PASSED
    return prove(at.api, wanted, at.console, records=lines.records if lines else None, page=html)


@app.command()
def runs(context: typer.Context, limit: Annotated[int, typer.Option(metavar="N")] = 20, json: AsJson = False) -> int:
    """List runs, newest first."""
    at = here(context)
    at.show(list(at.api.runs(limit)), tables.show_runs, json=json)
    return exits.PASSED


@app.command()
def show(
    context: typer.Context,
    run_id: RunId,
    follow: Annotated[bool, typer.Option("--follow", help="watch it until it is closed")] = False,
    json: AsJson = False,
) -> int:
    """Show how a run stands, or watch it."""
    at = here(context)
    found: dict[str, Any] = at.api.run(run_id)
    if follow and found["status"] != "CLOSED":
        with view_for(at.console) as view:
            found = watch(at.api, run_id, view)
        return exits.of_verdict(found["verdict"])
    at.show(found, tables.show_run, json=json)
    return exits.PASSED


@app.command()
def report(
    context: typer.Context,
    run_id: RunId,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help=f"with --html: where to; {PAGE.name} if left out")
    ] = None,
    html: Annotated[bool, typer.Option("--html", help="as a page, to FILE")] = False,
    json: AsJson = False,
) -> int:
    """Show what a closed run came to."""
    at = here(context)
    if file is not None and not html:
        raise typer.BadParameter("goes with --html.", param_hint="FILE")
    if html:
        write_page(at.api, run_id, file or PAGE, at.console)
    else:
        at.show(at.api.report(run_id), render, json=json)
    return exits.PASSED


@app.command()
def stop(context: typer.Context, run_id: RunId) -> int:
    """Stop a run, and wait until its stream is gone."""
    at = here(context)
    at.api.stop(run_id)
    with view_for(at.console) as view:
        closed = watch(at.api, run_id, view)
    gone = closed["resources_left"] == 0
    at.console.print("Stopped; its stream is gone." if gone else "Stopped; its stream is not known to be gone yet.")
    return exits.PASSED if gone else exits.DEGRADED


@app.command()
def health(
    context: typer.Context,
    check: Annotated[str, typer.Argument(metavar="CHECK", help="aws, db, llm by commas; '' asks nothing")] = "all",
    json: AsJson = False,
) -> int:
    """Tell whether Weir and what it depends on are well."""
    at = here(context)
    found = at.api.health(check or None)
    at.show(found, tables.show_health, json=json)
    return {"ok": exits.PASSED, "degraded": exits.DEGRADED}.get(found["status"], exits.FAILED)


accounts.add_commands(app)
app.add_typer(packages_commands.packages, name="packages")


def main(
    arguments: Sequence[str] | None = None,
    console: Console | None = None,
    connect: Callable[[Target], Api] = Api,
) -> int:
    """Do one command; a failure is told in one piece, without a stack trace."""
    at = Here(console or Console(highlight=False), connect)
    try:
        code: int = app(
            sys.argv[1:] if arguments is None else arguments, prog_name="weir", standalone_mode=False, obj=at
        )
    except typer.TyperException as error:
        told = plain(error.format_message())
        print(f"weir: {told}\n`weir --help` and `weir COMMAND --help` tell more.", file=sys.stderr)
        raise SystemExit(exits.USAGE) from None
    except _TOLD as error:
        print(plain(str(error)), file=sys.stderr)
        return exits.FAILED
    except typer.Abort:
        print("Nothing was entered.", file=sys.stderr)
        return exits.FAILED
    except Left as left:
        print(str(left) or "Left; what was started goes on, and cleans up behind itself.", file=sys.stderr)
        return exits.INTERRUPTED
    finally:
        at.close()
    return code


def _as_interrupt(_: int, __: FrameType | None) -> NoReturn:
    # A CI job that is cancelled gets SIGTERM: it stops the run as Ctrl-C does.
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _as_interrupt)
    sys.exit(main())

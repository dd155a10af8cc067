"""Runs, a plan, and health as tables on the terminal. Texts of the API go through ``Text``: they are no markup."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from client.plain import Text

__all__ = ["put", "show_health", "show_keys", "show_plan", "show_run", "show_runs", "show_user", "table_of"]

Json = Mapping[str, Any]

_STYLES = {
    "PASSED": "green",
    "DONE": "green",
    "ok": "green",
    "FAILED": "red",
    "failed": "red",
    "DEGRADED": "yellow",
    "degraded": "yellow",
    "timeout": "red",
    "live": "green",
    "revoked": "red",
    "expired": "red",
    "used_up": "red",
    "RUNNING": "cyan",
    "QUEUED": "cyan",
}


def _status(word: str) -> Text:
    return Text(word, _STYLES.get(word, ""))


_PIPE_COLUMNS = 100_000


def table_of(*columns: str) -> Table:
    """A table without lines, to be filled."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def put(table: Table, console: Console) -> None:
    """Print a table. What is no terminal has no width: there no name is broken, for a program may read it."""
    width = console.width
    if not console.is_terminal:
        console.width = _PIPE_COLUMNS
    console.print(table)
    if not console.is_terminal:
        console.width = width


def show_runs(runs: Iterable[Json], console: Console) -> None:
    """One line a run."""
    table = table_of("run", "created", "verdict", "why")
    for run in runs:
        verdict = run["verdict"] or run["status"]
        why = "; ".join(run["reasons"]) if verdict != "PASSED" else ""
        table.add_row(Text(run["run_id"]), Text(run["created_at"][:19] + "Z"), _status(verdict), Text(why))
    if table.rows:
        put(table, console)
    else:
        console.print(Text("There are no runs yet. `make demo` makes one."))


def show_run(run: Json, console: Console) -> None:
    """A run as it stands."""
    verdict = run["verdict"] or run["status"]
    console.print(Text(f"run {run['run_id']}  ").append_text(_status(verdict)))
    for reason in run["reasons"]:
        console.print(Text(f"  - {reason}"), soft_wrap=True)
    table = table_of("  step", "status", "began", "detail")
    for step in run["steps"]:
        began = Text(step["started_at"][11:19])
        table.add_row(Text(f"  {step['name']}"), _status(step["status"]), began, Text(step["detail"] or ""))
    put(table, console)
    progress = run["progress"] or {}
    counts = ", ".join(f"{value:,} {name}" for name, value in progress.items() if value is not None)
    console.print(Text(f"  {counts}"), soft_wrap=True)
    if run["cost_usd"] is not None:
        console.print(Text(f"  cost ${run['cost_usd']}"))
    if run["status"] == "CLOSED":
        console.print(Text(f"  streams left: {_or_unknown(run['resources_left'])}"))


def _or_unknown(value: object) -> str:
    return "not known" if value is None else str(value)


def show_plan(plan: Json, console: Console) -> None:
    """What a run would come to, and its cost line by line."""
    console.print(Text(f"{_or_unknown(plan['records'])} records, {plan['bytes_total'] / 1e6:,.1f} MB,"
                       f" about {plan['seconds']:,.0f} s at {plan['rate']:,.0f} records/s,"
                       f" {plan['workers']} writers, {plan['readers']} readers,"
                       f" {plan['state_transitions']:,} state transitions"), soft_wrap=True)  # fmt: skip
    table = table_of("  service", "item", "quantity", "USD")
    for line in plan["cost_lines"]:
        quantity = Text(f"{line['quantity']} {line['unit']}")
        table.add_row(Text(f"  {line['service']}"), Text(line["item"]), quantity, Text(line["usd"]))
    put(table, console)
    console.print(Text(f"  estimated cost ${plan['cost_usd']}", "bold"))
    for warning in plan["warnings"]:
        console.print(Text(f"  {warning}", "yellow"), soft_wrap=True)


def show_health(health: Json, console: Console) -> None:
    """Each dependency with its latency."""
    console.print(Text("Weir is ").append_text(_status(health["status"])))
    table = table_of("  dependency", "status", "required", "latency", "why")
    for one in health.get("checks") or ():
        latency, required = Text(f"{one['latency_ms']:.0f} ms"), Text("yes" if one["required"] else "no")
        table.add_row(Text(f"  {one['name']}"), _status(one["status"]), required, latency, Text(one["reason"] or ""))
    if table.rows:
        put(table, console)


def show_user(user: Json, console: Console) -> None:
    """A user, and what they may do."""
    console.print(Text(user["username"], "bold").append(f"  {user['user_id']}", "bright_black"))
    for name in ("roles", "groups", "scopes"):
        if user.get(name):
            console.print(Text(f"  {name}: {', '.join(sorted(user[name]))}"), soft_wrap=True)


def show_keys(keys: Iterable[Json], console: Console) -> None:
    """API keys, without their secrets."""
    table = table_of("key", "name", "status", "scopes", "uses", "expires", "last used")
    for one in keys:
        limit = "" if one["max_uses"] is None else f"{one['uses']} of {one['max_uses']}"
        times = (Text(one["expires_at"] or "never"), Text(one["last_used_at"] or "never"))
        scopes = Text(", ".join(sorted(one["scopes"])))
        table.add_row(Text(one["key_id"]), Text(one["name"]), _status(one["status"]), scopes, Text(limit), *times)
    if table.rows:
        put(table, console)
    else:
        console.print("No API keys. `weir keys create NAME` makes one.")

"""``weir login``, ``logout``, ``whoami``, ``password`` and ``keys``."""

import getpass
import sys
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console

from client import exits, tables
from client.api import Api, ApiError, Unreachable
from client.here import KEY_VARIABLE, AsJson, group, here, sign
from client.plain import Text, plain
from client.signing import NotLoggedIn, SessionSigner

__all__ = ["KEY_VARIABLE", "add_commands", "keys_group", "sign"]

Stdin = Annotated[bool, typer.Option("--stdin", help="read passwords from standard input, a line each")]
KeyId = Annotated[str, typer.Argument(metavar="KEY_ID")]

keys_group = group("API keys, for scripts and services")


def add_commands(app: typer.Typer) -> None:
    """Mount these commands."""
    for command in (login, logout, whoami, password):
        app.command()(command)
    app.add_typer(keys_group, name="keys")


def login(
    context: typer.Context, username: Annotated[str | None, typer.Argument(metavar="USER")] = None, stdin: Stdin = False
) -> int:
    """Log in, and stay so."""
    at = here(context)
    signer = _session(at.api)
    username = username or input("User name: ")
    answer = signer.log_in(username, _password("Password: ", stdin=stdin))
    at.console.print(Text(f"Logged in as {username}."))
    if answer.get("must_change_password"):
        at.console.print(Text("Somebody else knows this password: change it with `weir password`, first.", "yellow"))
    return exits.PASSED


def logout(context: typer.Context) -> int:
    """End the session, here in any case, and at the API. Nobody is logged in for it."""
    at = here(context)
    signer = _session(at.api)
    at.api.signer = signer.without_log_in()
    try:
        at.api.call("POST", "/auth/logout")
    except (ApiError, Unreachable) as error:
        if not isinstance(error, ApiError) or error.status != 401:
            told = "This machine has forgotten the session, but the API did not hear that it ends"
            print(f"{told}; it lives there until it expires.", file=sys.stderr)
            raise
    finally:
        signer.forget()
    at.console.print("Logged out.")
    return exits.PASSED


def whoami(context: typer.Context, json: AsJson = False) -> int:
    """Tell who the API takes you for."""
    at = here(context)
    at.show(at.api.call("GET", "/auth/me"), tables.show_user, json=json)
    return exits.PASSED


def password(context: typer.Context, stdin: Stdin = False) -> int:
    """Change your password; every other session ends."""
    at = here(context)
    signer = _session(at.api)
    body = {"current_password": _password("Present password: ", stdin=stdin)}
    body["new_password"] = _password("New password, 12 characters or more: ", stdin=stdin)
    if not stdin and body["new_password"] != getpass.getpass("Once more: "):
        print("The two are not the same; nothing was changed.", file=sys.stderr)
        return exits.FAILED
    signer.change_password(at.api.call("POST", "/auth/password", body))
    at.console.print("Changed. Every other session has ended.")
    return exits.PASSED


@keys_group.command("list")
def list_keys(context: typer.Context, json: AsJson = False) -> int:
    """Your keys, without their secrets."""
    at = here(context)
    at.show(list(at.api.pages("/api-keys")), tables.show_keys, json=json)
    return exits.PASSED


@keys_group.command("create")
def create_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="what it is for")],
    scope: Annotated[
        list[str] | None,
        typer.Option(metavar="SCOPE", help="such as runs:write; repeat; all of yours if none"),
    ] = None,
    expires_in: Annotated[int | None, typer.Option(metavar="SECONDS")] = None,
    max_uses: Annotated[int | None, typer.Option(metavar="N")] = None,
) -> int:
    """Make a key; its secret is shown once: on standard output, so that it can be piped."""
    at = here(context)
    wanted = {"scopes": scope or None, "expires_in": expires_in, "max_uses": max_uses}
    body = {"name": name} | {key: value for key, value in wanted.items() if value is not None}
    _show_secret(at.api.call("POST", "/api-keys", body), at.console)
    return exits.PASSED


@keys_group.command("rotate")
def rotate_key(context: typer.Context, key_id: KeyId) -> int:
    """Give a key another secret."""
    at = here(context)
    _show_secret(at.api.call("POST", f"/api-keys/{quote(key_id, safe='')}/rotate"), at.console)
    return exits.PASSED


@keys_group.command("revoke")
def revoke_key(context: typer.Context, key_id: KeyId) -> int:
    """End a key."""
    at = here(context)
    at.api.call("DELETE", f"/api-keys/{quote(key_id, safe='')}")
    at.console.print(Text(f"Key {key_id} is revoked; within a minute it opens nothing."))
    return exits.PASSED


def _password(prompt: str, *, stdin: bool) -> str:
    """A password, typed unseen or read from standard input: never an argument, which other users of a machine see."""
    return sys.stdin.readline().rstrip("\n") if stdin else getpass.getpass(prompt)


def _session(api: Api) -> SessionSigner:
    if isinstance(api.signer, SessionSigner):
        return api.signer
    raise NotLoggedIn(f"{KEY_VARIABLE} is set, so an API key speaks here; unset it to log in as a person.")


def _show_secret(key: Mapping[str, Any], console: Console) -> None:
    told = f"Key {key['key_id']} ({key['name']}). This is its secret; nobody can show it again:"
    print(plain(told), file=sys.stderr)
    console.print(Text(key["secret"]), soft_wrap=True)

"""``weir login``, ``logout``, ``whoami``, ``password`` and ``keys``."""

import argparse
import getpass
import os
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

from client import exits, tables
from client.api import Api, ApiError, Unreachable
from client.sessions import session_file
from client.signing import KeySigner, NotLoggedIn, SessionSigner
from client.target import Target

__all__ = ["KEY_VARIABLE", "add_commands", "sign"]

KEY_VARIABLE = "WEIR_API_KEY"


def sign(api: Api, target: Target, environ: Mapping[str, str] = os.environ) -> None:
    """Let an API's requests carry a token: the environment's API key, or the session of a log-in."""
    key = environ.get(KEY_VARIABLE)
    if key:
        api.signer = KeySigner(key)
    else:
        api.signer = SessionSigner(target.url, session_file(target), api.log_in_post, known=target.admin)


def login(options: argparse.Namespace, api: Api, console: Console) -> int:
    """Log in, and stay so."""
    signer = _session(api)
    username = options.username or input("User name: ")
    answer = signer.log_in(username, _password("Password: ", options))
    console.print(Text(f"Logged in as {username}."))
    if answer.get("must_change_password"):
        console.print(Text("Somebody else knows this password: change it with `weir password`, first.", "yellow"))
    return exits.PASSED


def logout(_: argparse.Namespace, api: Api, console: Console) -> int:
    """End the session, here in any case, and at the API. Nobody is logged in for it."""
    signer = _session(api)
    api.signer = signer.without_log_in()
    try:
        api.call("POST", "/auth/logout")
    except (ApiError, Unreachable) as error:
        if not isinstance(error, ApiError) or error.status != 401:
            told = "This machine has forgotten the session, but the API did not hear that it ends"
            print(f"{told}; it lives there until it expires.", file=sys.stderr)
            raise
    finally:
        signer.forget()
    console.print("Logged out.")
    return exits.PASSED


def whoami(options: argparse.Namespace, api: Api, console: Console) -> int:
    """Who the API takes us for."""
    found = api.call("GET", "/auth/me")
    if options.json:
        console.print_json(data=found)
    else:
        tables.show_user(found, console)
    return exits.PASSED


def password(options: argparse.Namespace, api: Api, console: Console) -> int:
    """Change the password; every other session ends."""
    signer = _session(api)
    body = {"current_password": _password("Present password: ", options)}
    body["new_password"] = _password("New password, 12 characters or more: ", options)
    if not options.stdin and body["new_password"] != getpass.getpass("Once more: "):
        print("The two are not the same; nothing was changed.", file=sys.stderr)
        return exits.FAILED
    signer.change_password(api.call("POST", "/auth/password", body))
    console.print("Changed. Every other session has ended.")
    return exits.PASSED


def keys(options: argparse.Namespace, api: Api, console: Console) -> int:
    """List one's API keys."""
    found = list(api.pages("/api-keys"))
    if options.json:
        console.print_json(data=found)
    else:
        tables.show_keys(found, console)
    return exits.PASSED


def create_key(options: argparse.Namespace, api: Api, console: Console) -> int:
    """Make an API key, and show its secret: once, to standard output, so that it can be piped."""
    body: dict[str, Any] = {"name": options.name}
    wanted = {"scopes": options.scope, "expires_in": options.expires_in, "max_uses": options.max_uses}
    body |= {name: value for name, value in wanted.items() if value is not None}
    _show_secret(api.call("POST", "/api-keys", body), console)
    return exits.PASSED


def rotate_key(options: argparse.Namespace, api: Api, console: Console) -> int:
    """Give a key another secret."""
    _show_secret(api.call("POST", f"/api-keys/{quote(options.key_id, safe='')}/rotate"), console)
    return exits.PASSED


def revoke_key(options: argparse.Namespace, api: Api, console: Console) -> int:
    """End a key."""
    api.call("DELETE", f"/api-keys/{quote(options.key_id, safe='')}")
    console.print(Text(f"Key {options.key_id} is revoked; within a minute it opens nothing."))
    return exits.PASSED


def add_commands(commands: Any) -> None:
    """The parsers of these commands."""
    one = commands.add_parser("login", help="log in, and stay so")
    one.add_argument("username", nargs="?", metavar="USER")
    _takes_passwords(one, login)
    commands.add_parser("logout", help="end the session").set_defaults(do=logout)
    one = commands.add_parser("whoami", help="who the API takes you for")
    one.add_argument("--json", action="store_true")
    one.set_defaults(do=whoami)
    _takes_passwords(commands.add_parser("password", help="change your password"), password)

    of_keys = commands.add_parser("keys", help="API keys, for scripts and services").add_subparsers(
        required=True, metavar="COMMAND"
    )
    one = of_keys.add_parser("list", help="your keys, without their secrets")
    one.add_argument("--json", action="store_true")
    one.set_defaults(do=keys)
    one = of_keys.add_parser("create", help="make a key; its secret is shown once")
    one.add_argument("name", metavar="NAME", help="what it is for")
    one.add_argument(
        "--scope", action="append", metavar="SCOPE", help="such as runs:write; repeat; all of yours if none"
    )
    one.add_argument("--expires-in", type=int, metavar="SECONDS")
    one.add_argument("--max-uses", type=int, metavar="N")
    one.set_defaults(do=create_key)
    for name, words, do in (
        ("rotate", "give a key another secret", rotate_key),
        ("revoke", "end a key", revoke_key),
    ):
        one = of_keys.add_parser(name, help=words)
        one.add_argument("key_id", metavar="KEY_ID")
        one.set_defaults(do=do)


def _takes_passwords(one: argparse.ArgumentParser, do: Any) -> None:
    one.add_argument("--stdin", action="store_true", help="read passwords from standard input, a line each")
    one.set_defaults(do=do)


def _password(prompt: str, options: argparse.Namespace) -> str:
    """A password, typed unseen or read from standard input: never an argument, which other users of a machine see."""
    return sys.stdin.readline().rstrip("\n") if options.stdin else getpass.getpass(prompt)


def _session(api: Api) -> SessionSigner:
    if isinstance(api.signer, SessionSigner):
        return api.signer
    raise NotLoggedIn(f"{KEY_VARIABLE} is set, so an API key speaks here; unset it to log in as a person.")


def _show_secret(key: Mapping[str, Any], console: Console) -> None:
    told = f"Key {key['key_id']} ({key['name']}). This is its secret; nobody can show it again:"
    print(told, file=sys.stderr)
    console.print(Text(key["secret"]), soft_wrap=True)

"""What every command has: the console, the API that the top-level options name, and how answers are shown."""

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from client.api import Api
from client.plain import print_json
from client.sessions import session_file
from client.signing import KeySigner, SessionSigner
from client.target import STACK_FILE, Target, find_target

__all__ = ["KEY_VARIABLE", "AsJson", "Here", "group", "here", "sign"]

KEY_VARIABLE = "WEIR_API_KEY"

AsJson = Annotated[bool, typer.Option("--json", help="as JSON")]
"""The option of every command that shows something."""


def sign(api: Api, target: Target, environ: Mapping[str, str] = os.environ) -> None:
    """Let an API's requests carry a token: the environment's API key, or the session of a log-in."""
    key = environ.get(KEY_VARIABLE)
    if key:
        api.signer = KeySigner(key)
    else:
        api.signer = SessionSigner(target.url, session_file(target), api.log_in_post, known=target.admin)


class Here:
    """Where a command is given. The API is spoken to only by commands that need it, so that --help needs none."""

    stack: Path = STACK_FILE
    url: str | None = None

    def __init__(self, console: Console, connect: Callable[[Target], Api]) -> None:
        self.console = console
        self._connect = connect

    @cached_property
    def api(self) -> Api:
        """The API, with a token on its requests. TargetUnknown where none is known."""
        target = find_target(self.url, self.stack)
        api = self._connect(target)
        sign(api, target)
        return api

    def close(self) -> None:
        """Give the API's connections back, if there are any."""
        if "api" in self.__dict__:
            self.api.close()

    def show(self, found: Any, draw: Callable[[Any, Console], None], *, json: bool) -> None:
        """As JSON where that is asked for, else for people."""
        if json:
            print_json(found, self.console)
        else:
            draw(found, self.console)


def here(context: typer.Context) -> Here:
    """Where the command of a context is given."""
    found = context.find_object(Here)
    assert found is not None
    return found


def group(words: str) -> typer.Typer:
    """A command that has commands."""
    return typer.Typer(help=words, no_args_is_help=False, rich_markup_mode=None, add_completion=False)

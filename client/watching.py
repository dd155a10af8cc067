"""Follow a run until it is closed, and stop it when the person presses Ctrl-C.

A run goes on by itself wherever its watcher is: it deletes its stream also when nobody looks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from client.api import Api, ApiError

__all__ = ["Left", "View", "watch"]

Json = Mapping[str, Any]

POLL_SECONDS = 0.4


class View(Protocol):
    """Shows a run while it goes on."""

    def show(self, run: Json) -> None:
        """The run as it stands now."""

    def say(self, words: str) -> None:
        """Tell the person something besides."""


class Left(Exception):
    """The person pressed Ctrl-C, and nobody waits for what was begun; ``str()`` may tell what becomes of it."""


@dataclass(slots=True)
class _Stop:
    asked: bool = False


def watch(api: Api, run_id: str, view: View) -> dict[str, Any]:
    """Show a run until it is closed; the closed run.

    The first Ctrl-C stops the run and goes on watching until its stream is gone; the second raises Left.
    """
    stop = _Stop()
    while True:
        try:
            run = api.run(run_id)
            view.show(run)
            if run["status"] == "CLOSED":
                return run
            api.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            if stop.asked:
                raise Left from None
            stop.asked = True
            _stop(api, run_id, view)


def _stop(api: Api, run_id: str, view: View) -> None:
    view.say("Stopping the run and deleting its stream; Ctrl-C again to leave without waiting")
    try:
        api.stop(run_id)
    except ApiError as error:
        # It ended by itself in the same moment.
        if error.slug != "run-closed":
            raise
    except KeyboardInterrupt:
        raise Left from None

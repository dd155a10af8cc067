"""Which Weir to speak to: the local one that ``make up`` tells of in ``.local/stack.json``, or any by its URL."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["REPOSITORY", "STACK_FILE", "Target", "TargetUnknown", "find_target"]

REPOSITORY = Path(__file__).resolve().parent.parent
STACK_FILE = REPOSITORY / ".local" / "stack.json"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class TargetUnknown(Exception):
    """There is no API to speak to; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """An API: its address with the stage and without a slash at the end, and whether it is on this machine.

    ``admin`` is the user name and password that ``make up`` wrote down; nobody else's are ever in a file.
    """

    url: str
    admin: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def is_local(self) -> bool:
        """Whether the API is on this machine, so that no proxy may stand between."""
        return (urlsplit(self.url).hostname or "") in _LOOPBACK


def find_target(url: str | None, stack_file: Path = STACK_FILE) -> Target:
    """The API at ``url``, or else the one that ``stack_file`` tells of. TargetUnknown where there is neither."""
    if url is not None:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise TargetUnknown(
                f"{url!r} is not the address of an API: it begins with https:// and ends with the stage."
            )
        return _guarded(Target(url.rstrip("/")))
    try:
        document = json.loads(stack_file.read_text())
        url, admin = str(document["api_url"]).rstrip("/"), document.get("admin")
        return _guarded(Target(url, (str(admin["username"]), str(admin["password"])) if admin else None))
    except FileNotFoundError as error:
        raise TargetUnknown(
            f"No Weir is known here: {stack_file} is missing. `make up` starts a local one; --url names another."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TargetUnknown(f"{stack_file} can't be used ({error}). `make up` writes it anew.") from error


def _guarded(target: Target) -> Target:
    """A target that passwords, tokens and keys may be sent to: over TLS, or no farther than this machine."""
    if urlsplit(target.url).scheme != "https" and not target.is_local:
        raise TargetUnknown(
            f"{target.url} would send passwords and keys in clear text: an API on another machine begins with https://."
        )
    return target

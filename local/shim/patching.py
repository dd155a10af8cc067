"""How the emulator is patched: by name, out loud, and only the release that the patches were written for."""

import functools
from collections.abc import Callable
from importlib import metadata
from typing import Any

EMULATOR = "ministack"
PATCHED_RELEASE = "1.5.33"

Function = Callable[..., Any]


class PatchError(Exception):
    """The emulator is not what a patch was written for; upgrade both together."""


def check_release() -> None:
    """Refuse another release: a patch may be needless there, or silently wrong.

    Raises
    ------
    PatchError
    """
    found = metadata.version(EMULATOR)
    if found != PATCHED_RELEASE:
        raise PatchError(f"The patches under local/shim are for {EMULATOR} {PATCHED_RELEASE}, and this is {found}")


def patch(owner: Any, name: str) -> Callable[[Function], Function]:
    """Replace ``owner.name``; the replacement gets what stood there as its first argument."""
    original = getattr(owner, name)

    def install(replacement: Function) -> Function:
        @functools.wraps(original)
        def patched(*args: Any, **kwargs: Any) -> Any:
            return replacement(original, *args, **kwargs)

        setattr(owner, name, patched)
        return replacement

    return install


def rewrite(text: str, old: str, new: str) -> str:
    """``text`` with ``old`` replaced by ``new``.

    Raises
    ------
    PatchError
        ``old`` does not stand there exactly once.
    """
    if text.count(old) != 1:
        raise PatchError(f"Not found exactly once: {old.strip()[:80]}")
    return text.replace(old, new)


def raise_constant(function: Function, old: int, new: int) -> None:
    """Change a number inside a function.

    Raises
    ------
    PatchError
        The function does not use that number.
    """
    constants = function.__code__.co_consts
    if old not in constants:
        raise PatchError(f"{function.__qualname__} does not hold {old}")
    changed = tuple(new if constant == old else constant for constant in constants)
    function.__code__ = function.__code__.replace(co_consts=changed)

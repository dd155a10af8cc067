"""Errors of health."""

from weir.runtime.errors import BadRequest


class UnknownCheck(BadRequest):
    """A check that there is none of is refused: it must not pass for healthy."""

    slug, title = "unknown-check", "No such check"

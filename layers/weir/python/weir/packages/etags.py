"""Entity tags of what changes: a package, a version, an alias (RFC 9110, 8.8.3 and 13.1)."""

from weir.packages.errors import Changed


def etag(revision: int) -> str:
    """A revision as an entity tag."""
    return f'"{revision}"'


def check_match(if_match: str | None, current: str, thing: str) -> None:
    """Changed unless ``If-Match`` names the current tag, is ``*``, or was not sent."""
    if if_match is None or if_match.strip() == "*":
        return
    if current not in [tag.strip() for tag in if_match.split(",")]:
        raise Changed(f"The {thing} is in version {current} now; read it again.")

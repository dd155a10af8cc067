"""What a version is registered as: from options, and from a ``weir.yaml`` that lies in the folder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["CARD", "CardUnusable", "Unnamed", "read_card", "spec_of"]

CARD = "weir.yaml"
_KEYS = frozenset({"name", "version", "description", "sensitivity", "allowed_groups", "tags", "metadata"})


class CardUnusable(Exception):
    """The card can't be read, or does not say what it must; the message says what."""


class Unnamed(CardUnusable):
    """Neither the options nor the card name the package and its version; the message says what to do."""


def read_card(place: Path | None, root: Path) -> dict[str, Any]:
    """The card that was named, or else the folder's own; empty where there is none. CardUnusable."""
    found = place or (root / CARD if root.is_dir() and (root / CARD).exists() else None)
    if found is None:
        return {}
    import yaml  # here, for few commands read a card and all would wait for it

    try:
        card = yaml.safe_load(found.read_text(encoding="utf-8"))
    except OSError as error:
        raise CardUnusable(f"{found} can't be read: {error.strerror or error}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CardUnusable(f"{found} is not YAML: {error}") from error
    if not isinstance(card, dict):
        raise CardUnusable(f"{found} must hold a mapping, such as `name: my-model`.")
    unknown = sorted(str(key) for key in set(card) - _KEYS)
    if unknown:
        raise CardUnusable(f"{found} says {unknown[0]!r}, which is none of {', '.join(sorted(_KEYS))}.")
    try:
        json.dumps(card, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise CardUnusable(
            f"{found} holds what JSON can't ({error}): write a date, or what is no plain text or number, in quotes."
        ) from error
    return card


def spec_of(card: Mapping[str, Any], pairs: Sequence[str], **options: Any) -> dict[str, Any]:
    """A card with options above it, and ``pairs`` (KEY=VALUE) in its metadata. The registry judges the rest.

    Unnamed where it names no package or version, CardUnusable where a pair is none.
    """
    spec = {**card, **{name: value for name, value in options.items() if value}}
    if isinstance(spec.get("version"), int | float):
        raise CardUnusable(f"The version must be text: write it as '{spec['version']}' in quotes.")
    missing = [name for name in ("name", "version") if not spec.get(name)]
    if missing:
        raise Unnamed(f"Say the package's {' and '.join(missing)}: as --{missing[0]}, or in {CARD}.")
    if pairs:
        apart = [pair.partition("=") for pair in pairs]
        wrong = next((key + equals for key, equals, _ in apart if not key or not equals), None)
        if wrong is not None:
            raise CardUnusable(f"--metadata takes KEY=VALUE, and not {wrong!r}.")
        if not isinstance(spec.get("metadata") or {}, dict):
            raise CardUnusable("The metadata of a card must be a mapping.")
        spec["metadata"] = {**(spec.get("metadata") or {}), **{key: value for key, _, value in apart}}
    return spec

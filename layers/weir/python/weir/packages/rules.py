"""The rules that a version can be held against: a closed set of kinds, each a few values, and none of them code.

Patterns are shell globs (``fnmatch``), matched against whole paths with their case; ``*`` matches ``/`` too. Python
compiles them to expressions that do not backtrack. The worst match takes length of pattern times length of path, 0.3 ms
at most; as many globs as a request may have, against as many files as a version may have, end before the request does.
``where`` narrows a rule to the files that match; where none does, the rule is not applicable.
"""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from weir.packages.file_formats import NAMES
from weir.runtime.fields import UNTAGGED

MOST_RULES = 32
"""Of a request, beside the default ones."""

MOST_GLOBS = 64
"""Of all rules of a request together."""

RULE_NAME = r"^[a-z](?:[a-z0-9-]{0,62}[a-z0-9])?$"

Glob = Annotated[str, Field(min_length=1, max_length=128)]
Globs = Annotated[tuple[Glob, ...], Field(max_length=MOST_GLOBS)]
Texts = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=128)], ...], Field(min_length=1, max_length=100)]


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=RULE_NAME, description="What the report calls it; once in a report")


class _OverFiles(_Rule):
    where: Globs = Field(default=(), description="Only files that match one of these globs; all where there is none")


class Available(_OverFiles):
    """Every file was scanned, and is served."""

    kind: Literal["available"]


class Hashed(_OverFiles):
    """Weir has hashed every file itself, and the SHA-256 is the declared one."""

    kind: Literal["hashed"]


class Findings(_OverFiles):
    """The scanners have found nothing but what ``allow`` names."""

    kind: Literal["findings"]
    allow: Globs = Field(default=(), description="Rules of the scanners whose findings are taken")


class Paths(_OverFiles):
    """Every file's path matches one of ``allow``, where there are any, and none of ``deny``."""

    kind: Literal["paths"]
    allow: Globs = ()
    deny: Globs = ()


class Formats(_OverFiles):
    """Every file is of an allowed format, by its name, and of none that is denied."""

    kind: Literal["formats"]
    allow: Annotated[tuple[str, ...], Field(max_length=50)] = Field(default=(), description=", ".join(NAMES))
    deny: Annotated[tuple[str, ...], Field(max_length=50)] = ()

    @field_validator("allow", "deny")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(names) - set(NAMES)):
            raise ValueError(f"no such format: {', '.join(unknown)}; known: {', '.join(NAMES)}")
        return names


class Size(_OverFiles):
    """The files together, and each of them, have at most so many bytes."""

    kind: Literal["size"]
    most_bytes: int | None = Field(default=None, ge=0)
    most_file_bytes: int | None = Field(default=None, ge=0)


class Count(_OverFiles):
    """There are at least and at most so many files."""

    kind: Literal["count"]
    least: int = Field(default=1, ge=0, le=1_000)
    most: int = Field(default=1_000, ge=0, le=1_000)


class RequiredFiles(_Rule):
    """For each of the patterns there is a file."""

    kind: Literal["required-files"]
    patterns: Annotated[tuple[Glob, ...], Field(min_length=1, max_length=MOST_GLOBS)]


class Metadata(_Rule):
    """The version's metadata tells all of these."""

    kind: Literal["metadata"]
    required: Texts


class License(_Rule):
    """The metadata tells a licence, one of ``allow`` where there are any; case does not count."""

    kind: Literal["license"]
    allow: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=128)], ...], Field(max_length=100)] = ()


class Groups(_Rule):
    """Who asks is in one of these groups, as their log-in tells."""

    kind: Literal["groups"]
    any_of: Texts


class Signed(_Rule):
    """The version bears a signature by a registered key."""

    kind: Literal["signed"]


AnyRule = (
    Available
    | Hashed
    | Findings
    | Paths
    | Formats
    | Size
    | Count
    | RequiredFiles
    | Metadata
    | License
    | Groups
    | Signed
)
Rule = Annotated[AnyRule, Field(discriminator="kind"), UNTAGGED]
KINDS = tuple(get_args(one.model_fields["kind"].annotation)[0] for one in get_args(AnyRule))


def globs(rule: AnyRule) -> int:
    """How many globs a rule has."""
    own = {"paths": ("allow", "deny"), "findings": ("allow",), "required-files": ("patterns",)}.get(rule.kind, ())
    return sum(len(getattr(rule, name, ())) for name in ("where", *own))


DEFAULTS: tuple[AnyRule, ...] = (
    Count(name="has-files", kind="count"),
    Available(name="all-available", kind="available"),
    Hashed(name="all-hashed", kind="hashed"),
    Findings(name="no-findings", kind="findings", allow=("no-executable-content-known",)),
    Paths(
        name="no-programs",
        kind="paths",
        deny=("*.exe", "*.dll", "*.so", "*.dylib", "*.sh", "*.bat", "*.cmd", "*.ps1", "*.com", "*.scr", "*.msi"),
    ),
    License(name="has-license", kind="license"),
)
"""What every version is held against, whatever else a request asks for. What no scanner has looked into fails."""

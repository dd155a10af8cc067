"""Hold a version against declarative rules, and keep the report with it. It fails closed.

A rule passes only where every fact that it needs is there and says so: a file that was never uploaded, a fact that is
missing, a rule that can't be judged are failures, told with their reason. The default rules always count; a request can
add to them, and take nothing away. Who asks is judged by the groups of their log-in, never by what the request says.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from weir.packages import audit, rules
from weir.packages.errors import VersionNotFound
from weir.packages.file_formats import format_of
from weir.packages.finding import owned_version
from weir.packages.models import Declared, File, Manifest, State, Version
from weir.packages.signing import registered
from weir.packages.store import Store, stored_version
from weir.packages.table import signer_key
from weir.runtime.audit import Asker
from weir.runtime.clock import Clock, rfc3339
from weir.runtime.dynamodb import Write
from weir.runtime.errors import FieldError, Invalid
from weir.runtime.observability import logger

Verdict = Literal["passed", "failed", "not-applicable"]

LONGEST_EVIDENCE = 400
_MOST_NAMED = 5
"""Files that an evidence names; of the others it tells how many they are."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules are judged by. ``files`` are those of which an upload was opened, by path; ``groups`` the caller's;
    ``trusted`` are the keys that have signed the version and are registered still."""

    version: Version
    manifest: Manifest
    files: Mapping[str, File]
    groups: frozenset[str]
    trusted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule came to, and what shows it, in words."""

    rule: str
    kind: str
    verdict: Verdict
    evidence: str


@dataclass(frozen=True, slots=True)
class Report:
    """All outcomes; passed as a whole only where at least one rule passed, and none failed."""

    verdict: Literal["passed", "failed"]
    outcomes: tuple[Outcome, ...]


class _NotApplicable(Exception):
    """The rule is about files that the version does not have."""


class _Fails(Exception):
    """The rule does not hold; the message is the evidence."""


def validate(
    name: str, version: str, added: Sequence[rules.AnyRule], asker: Asker, store: Store, clock: Clock
) -> Mapping[str, Any]:
    """Judge a version by the default rules and ``added``, and store the report on it; answers it as stored.

    Raises
    ------
    PackageNotFound, VersionNotFound, NotTheOwner
    Invalid
        Two rules have the same name.
    """
    asked = (*rules.DEFAULTS, *added)
    _check_names(asked)

    def attempt() -> tuple[list[Write], Mapping[str, Any]] | Mapping[str, Any]:
        _, found = owned_version(name, version, asker.principal, store)
        if found.state is State.REJECTED:
            raise VersionNotFound(f"The version {found.version} of {found.name!r} was deleted.")
        manifest = store.manifest(found)
        files = {file.declared.path: file for file in store.files(found.name, found.version)}
        trusted = _trusted(asked, found, store)
        report = judged(asked, Facts(found, manifest, files, asker.principal.groups, trusted))
        now = clock.now()
        document = {
            "verdict": report.verdict,
            "at": rfc3339(now),
            "by": asker.principal.sub,
            "rules": [asdict(one) for one in report.outcomes],
        }
        failed = [one.rule for one in report.outcomes if one.verdict == "failed"]
        detail = {"verdict": report.verdict, "rules": str(len(asked)), "failed": " ".join(failed)}
        told = audit.entry("version.validated", asker, found.name, found.version, now, detail)
        still = [Write(key=signer_key(one), when="attribute_exists(pk)", check=True) for one in sorted(trusted)]
        return [stored_version(found, replace(found, validation=document), now), told, *still], document

    return store.settle(attempt)


def _trusted(asked: Iterable[rules.AnyRule], version: Version, store: Store) -> frozenset[str]:
    """The keys that have signed a version and are registered at this moment, where a rule asks for them."""
    if not any(isinstance(one, rules.Signed) for one in asked):
        return frozenset()
    keys = (version.signature or {}).get("keys") or ()
    return frozenset(one.key_id for one in registered(tuple(keys), store.table))


def judged(asked: Iterable[rules.AnyRule], facts: Facts) -> Report:
    """The report of some rules."""
    outcomes = tuple(_outcome(rule, facts) for rule in asked)
    verdicts = {one.verdict for one in outcomes}
    holds = "failed" not in verdicts and "passed" in verdicts
    return Report("passed" if holds else "failed", outcomes)


def _check_names(asked: Sequence[rules.AnyRule]) -> None:
    names = [rule.name for rule in asked]
    for index, name in enumerate(names):
        if name in names[:index]:
            told = f"another rule is called {name!r} already"
            field = f"rules.{index - len(rules.DEFAULTS)}.name"
            raise Invalid(f"{field}: {told}.", errors=[FieldError(field, told)])


def _outcome(rule: rules.AnyRule, facts: Facts) -> Outcome:
    verdict: Verdict = "failed"
    try:
        evidence = _JUDGES[type(rule)](rule, facts)
        verdict = "passed"
    except _NotApplicable as no:
        verdict, evidence = "not-applicable", str(no)
    except _Fails as failure:
        evidence = str(failure)
    except Exception as error:
        logger().exception("a rule could not be judged", extra={"rule": rule.name, "kind": rule.kind})
        evidence = f"could not be judged: {type(error).__name__}"
    return Outcome(rule.name, rule.kind, verdict, evidence[:LONGEST_EVIDENCE])


# One function a kind: its evidence where the rule holds, else _Fails or _NotApplicable


def _available(rule: rules.Available, facts: Facts) -> str:
    pairs = _existing(rule.where, facts)
    _none([f"{path} is {file.state.value}" for path, file in pairs if file.state is not State.AVAILABLE])
    return f"all {len(pairs)} files are AVAILABLE"


def _hashed(rule: rules.Hashed, facts: Facts) -> str:
    pairs = _existing(rule.where, facts)
    _none([f"{path} was not hashed yet" for path, file in pairs if file.verified_sha256 is None])
    _none(
        [
            f"{path} has the SHA-256 {file.verified_sha256}, and {file.declared.sha256} was declared"
            for path, file in pairs
            if file.verified_sha256 != file.declared.sha256
        ]
    )
    return f"all {len(pairs)} files have the SHA-256 that was declared, as Weir has hashed them"


def _findings(rule: rules.Findings, facts: Facts) -> str:
    pairs = _existing(rule.where, facts)
    unscanned = [path for path, file in pairs if file.state not in {State.AVAILABLE, State.QUARANTINED}]
    _none([f"{path} was not scanned yet" for path in unscanned])
    found = [(path, one) for path, file in pairs for one in file.findings]
    _none([f"{path}: {_told(one)}" for path, one in found if not _matches(one.get("rule", ""), rule.allow)])
    return f"the scanners of {len(pairs)} files found {f'{len(found)} things, all allowed' if found else 'nothing'}"


def _paths(rule: rules.Paths, facts: Facts) -> str:
    files = _declared(rule.where, facts)
    if rule.allow:
        _none([f"{one.path} matches nothing allowed" for one in files if not _matches(one.path, rule.allow)])
    _none(
        [
            f"{one.path} matches what is denied"
            for one in files
            if any(_matches(path, rule.deny) for path in (one.path, one.path.lower()))
        ]
    )
    return f"{len(files)} paths are as asked"


def _formats(rule: rules.Formats, facts: Facts) -> str:
    named = [(one.path, known.name if (known := format_of(one.path)) else None) for one in _declared(rule.where, facts)]
    if rule.allow or rule.deny:
        _none([f"{path} is of no format that is known" for path, name in named if name is None])
    if rule.allow:
        _none([f"{path} is {name}, which is not allowed" for path, name in named if name not in rule.allow])
    _none([f"{path} is {name}, which is denied" for path, name in named if name in rule.deny])
    return f"{len(named)} files are {', '.join(sorted({name or 'of unknown format' for _, name in named}))}"


def _size(rule: rules.Size, facts: Facts) -> str:
    files = _declared(rule.where, facts)
    total = sum(one.size for one in files)
    if rule.most_file_bytes is not None:
        most = rule.most_file_bytes
        _none([f"{one.path} has {one.size:,} bytes, above {most:,}" for one in files if one.size > most])
    if rule.most_bytes is not None and total > rule.most_bytes:
        raise _Fails(f"{total:,} bytes, above {rule.most_bytes:,}")
    return f"{len(files)} files have {total:,} bytes"


def _count(rule: rules.Count, facts: Facts) -> str:
    files = [one for one in facts.manifest.files if not rule.where or _matches(one.path, rule.where)]
    told = f"{len(files)} files"
    if not rule.least <= len(files) <= rule.most:
        raise _Fails(f"{told}, not {rule.least} to {rule.most}")
    return told


def _required(rule: rules.RequiredFiles, facts: Facts) -> str:
    paths = [one.path for one in facts.manifest.files]
    _none([f"no file matches {one}" for one in rule.patterns if not any(fnmatchcase(path, one) for path in paths)])
    return f"for each of {len(rule.patterns)} patterns there is a file"


def _metadata(rule: rules.Metadata, facts: Facts) -> str:
    _none([f"the metadata has no {key}" for key in rule.required if is_blank(facts.version.metadata.get(key))])
    return f"the metadata tells {', '.join(rule.required)}"


def _license(rule: rules.License, facts: Facts) -> str:
    told = facts.version.metadata.get("license")
    if not isinstance(told, str) or not told.strip():
        raise _Fails("the metadata tells no license")
    if rule.allow and told.strip().lower() not in {one.lower() for one in rule.allow}:
        raise _Fails(f"the license is {told.strip()!r}, none of those allowed")
    return f"the license is {told.strip()!r}"


def _groups(rule: rules.Groups, facts: Facts) -> str:
    held = sorted(facts.groups.intersection(rule.any_of))
    if not held:
        raise _Fails(f"the caller is in none of {', '.join(rule.any_of)}")
    return f"the caller is in {', '.join(held)}"


def _signed(_: rules.Signed, facts: Facts) -> str:
    if not facts.trusted:
        raise _Fails("no signature by a key that is registered now")
    return f"signed by {', '.join(sorted(facts.trusted))}"


_JUDGES: Mapping[type, Callable[[Any, Facts], str]] = {
    rules.Available: _available,
    rules.Hashed: _hashed,
    rules.Findings: _findings,
    rules.Paths: _paths,
    rules.Formats: _formats,
    rules.Size: _size,
    rules.Count: _count,
    rules.RequiredFiles: _required,
    rules.Metadata: _metadata,
    rules.License: _license,
    rules.Groups: _groups,
    rules.Signed: _signed,
}


def _declared(where: Sequence[str], facts: Facts) -> list[Declared]:
    """The declared files that a rule is about."""
    if not facts.manifest.files:
        raise _Fails("the version has declared no files yet")
    files = [one for one in facts.manifest.files if not where or _matches(one.path, where)]
    if not files:
        raise _NotApplicable(f"no file matches {', '.join(where)}")
    return files


def _existing(where: Sequence[str], facts: Facts) -> list[tuple[str, File]]:
    """The same, each with what became of it. A file that nothing is known of fails the rule."""
    paths = [one.path for one in _declared(where, facts)]
    _none([f"{path} was never uploaded" for path in paths if path not in facts.files])
    return [(path, facts.files[path]) for path in paths]


def _none(problems: Sequence[str]) -> None:
    """Fail where there are any problems, naming the first few."""
    if problems:
        more = f"; and {len(problems) - _MOST_NAMED} more" if len(problems) > _MOST_NAMED else ""
        told = "; ".join(problems[:_MOST_NAMED])[: LONGEST_EVIDENCE - len(more)]
        raise _Fails(f"{told}{more}")


def _matches(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(text, one) for one in patterns)


def is_blank(value: Any) -> bool:
    """Whether a value of the metadata tells nothing."""
    return value is None or (isinstance(value, str) and not value.strip()) or value in ([], {})


def _told(finding: Mapping[str, str]) -> str:
    return " ".join(finding.get(key, "") for key in ("rule", "evidence")).strip() or "a finding without words"

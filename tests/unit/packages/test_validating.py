"""Rules over a version: each kind holds, fails and is not applicable where it should; none passes for want of facts."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tests.unit.packages.registry import (
    ANN,
    BOB,
    NOON,
    SHA,
    Counted,
    Meanwhile,
    Time,
    admin,
    asker,
    audited,
    declared,
    package,
    put,
    served,
    version,
)
from weir.packages import rules
from weir.packages.contract_trust import RulesAsked, report_view
from weir.packages.errors import NotTheOwner, PackageNotFound, VersionNotFound
from weir.packages.items import file_item
from weir.packages.models import Declared, File, Manifest, State, Version
from weir.packages.store import Store
from weir.packages.validating import LONGEST_EVIDENCE, Facts, Outcome, judged, validate
from weir.runtime.clock import Clock
from weir.runtime.errors import Invalid

OTHER = "b" * 64
RULES: TypeAdapter[tuple[rules.AnyRule, ...]] = TypeAdapter(tuple[rules.Rule, ...])
QUIET = {"rule": "no-executable-content-known", "evidence": "text; templates in it are not checked"}
EVIL = {"rule": "pickle-global", "evidence": "os.system"}


def rule(kind: str, **fields: Any) -> rules.AnyRule:
    return RULES.validate_python([{"name": "it", "kind": kind, **fields}])[0]


def file(of: Declared, **fields: Any) -> File:
    made = File("bert-base", "1.0.0", of, f"packages/bert-base/{of.sha256}", State.AVAILABLE, verified_sha256=of.sha256)
    return replace(made, **fields)


def facts(*files: File, groups: tuple[str, ...] = (), **of_version: Any) -> Facts:
    """A version whose files are these, unless ``files`` says otherwise."""
    of = of_version.pop("files", tuple(one.declared for one in files))
    return Facts(
        served(files=of, **of_version), Manifest(of), {one.declared.path: one for one in files}, frozenset(groups)
    )


def outcome(asked: rules.AnyRule, known: Facts) -> Outcome:
    (only,) = judged([asked], known).outcomes
    return only


WEIGHTS = file(declared("model.safetensors", 100))
TEXT = file(declared("docs/README.md", 10), findings=(QUIET,))
PICKLE = file(declared("old/model.bin", 50), findings=(EVIL,))
LICENSED = {"license": "Apache-2.0", "card": "About it", "blank": " ", "nothing": []}


@pytest.mark.parametrize(
    ("asked", "known", "evidence"),
    [
        (rule("available"), facts(WEIGHTS, TEXT), "all 2 files are AVAILABLE"),
        (rule("hashed"), facts(WEIGHTS), "all 1 files have the SHA-256 that was declared, as Weir has hashed them"),
        (rule("findings"), facts(WEIGHTS), "the scanners of 1 files found nothing"),
        (rule("findings", allow=["no-*"]), facts(WEIGHTS, TEXT), "the scanners of 2 files found 1 things, all allowed"),
        (rule("findings", where=["*.safetensors"]), facts(WEIGHTS, PICKLE), "the scanners of 1 files found nothing"),
        (rule("paths", deny=["*.exe"]), facts(WEIGHTS), "1 paths are as asked"),
        (rule("paths", allow=["*.safetensors", "docs/*"]), facts(WEIGHTS, TEXT), "2 paths are as asked"),
        (rule("formats", allow=["safetensors", "text"]), facts(WEIGHTS, TEXT), "2 files are safetensors, text"),
        (rule("formats", deny=["pickle"]), facts(WEIGHTS), "1 files are safetensors"),
        (rule("size", most_bytes=110, most_file_bytes=100), facts(WEIGHTS, TEXT), "2 files have 110 bytes"),
        (rule("size"), facts(WEIGHTS), "1 files have 100 bytes"),
        (rule("count", least=2, most=2), facts(WEIGHTS, TEXT), "2 files"),
        (rule("count", least=0), facts(), "0 files"),
        (rule("count", where=["docs/*"]), facts(WEIGHTS, TEXT), "1 files"),
        (
            rule("required-files", patterns=["*.md", "model.*"]),
            facts(WEIGHTS, TEXT),
            "for each of 2 patterns there is a file",
        ),
        (rule("metadata", required=["card"]), facts(WEIGHTS, metadata=LICENSED), "the metadata tells card"),
        (rule("license"), facts(WEIGHTS, metadata=LICENSED), "the license is 'Apache-2.0'"),
        (
            rule("license", allow=["MIT", "apache-2.0"]),
            facts(WEIGHTS, metadata=LICENSED),
            "the license is 'Apache-2.0'",
        ),
        (rule("groups", any_of=["ml", "ops"]), facts(groups=("ops", "x")), "the caller is in ops"),
        (rule("signed"), replace(facts(signature={"keys": ["a1"]}), trusted=frozenset({"a1"})), "signed by a1"),
    ],
    ids=lambda one: one.kind if isinstance(one, rules.BaseModel) else "",
)
def test_a_rule_that_holds_tells_why(asked: rules.AnyRule, known: Facts, evidence: str) -> None:
    assert outcome(asked, known) == Outcome("it", asked.kind, "passed", evidence)


@pytest.mark.parametrize(
    ("asked", "known", "evidence"),
    [
        (rule("available"), facts(replace(WEIGHTS, state=State.SCANNING)), "model.safetensors is SCANNING"),
        (rule("available"), facts(replace(WEIGHTS, state=State.QUARANTINED)), "model.safetensors is QUARANTINED"),
        (rule("hashed"), facts(replace(WEIGHTS, verified_sha256=None)), "model.safetensors was not hashed yet"),
        (
            rule("hashed"),
            facts(replace(WEIGHTS, verified_sha256=OTHER)),
            f"model.safetensors has the SHA-256 {OTHER}, and {SHA} was declared",
        ),
        (rule("findings"), facts(PICKLE), "old/model.bin: pickle-global os.system"),
        (rule("findings", allow=["no-*"]), facts(TEXT, PICKLE), "old/model.bin: pickle-global os.system"),
        (rule("findings"), facts(replace(WEIGHTS, state=State.SCANNING)), "model.safetensors was not scanned yet"),
        (rule("findings"), facts(replace(WEIGHTS, findings=({},))), "model.safetensors: a finding without words"),
        (rule("paths", deny=["old/*"]), facts(PICKLE), "old/model.bin matches what is denied"),
        (rule("paths", allow=["docs/*"]), facts(WEIGHTS), "model.safetensors matches nothing allowed"),
        (rule("paths", allow=["MODEL.*"]), facts(WEIGHTS), "model.safetensors matches nothing allowed"),
        (rule("formats", deny=["pytorch"]), facts(PICKLE), "old/model.bin is pytorch, which is denied"),
        (rule("formats", allow=["gguf"]), facts(WEIGHTS), "model.safetensors is safetensors, which is not allowed"),
        (rule("formats", deny=["gguf"]), facts(file(declared("strange"))), "strange is of no format that is known"),
        (rule("size", most_bytes=109), facts(WEIGHTS, TEXT), "110 bytes, above 109"),
        (rule("size", most_file_bytes=99), facts(WEIGHTS, TEXT), "model.safetensors has 100 bytes, above 99"),
        (rule("count", least=2), facts(WEIGHTS), "1 files, not 2 to 1000"),
        (rule("count", where=["x"]), facts(WEIGHTS), "0 files, not 1 to 1000"),
        (rule("required-files", patterns=["*.md", "LICENSE"]), facts(TEXT), "no file matches LICENSE"),
        (rule("metadata", required=["card", "blank"]), facts(metadata=LICENSED), "the metadata has no blank"),
        (rule("metadata", required=["nothing"]), facts(metadata=LICENSED), "the metadata has no nothing"),
        (rule("license"), facts(metadata={}), "the metadata tells no license"),
        (rule("license"), facts(metadata={"license": ["mit"]}), "the metadata tells no license"),
        (
            rule("license", allow=["mit"]),
            facts(metadata=LICENSED),
            "the license is 'Apache-2.0', none of those allowed",
        ),
        (rule("groups", any_of=["ml"]), facts(groups=("ops",)), "the caller is in none of ml"),
        (rule("signed"), facts(), "no signature by a key that is registered now"),
        (rule("signed"), facts(signature={"keys": ["gone"]}), "no signature by a key that is registered now"),
    ],
    ids=lambda one: one.kind if isinstance(one, rules.BaseModel) else "",
)
def test_a_rule_that_does_not_hold_tells_why(asked: rules.AnyRule, known: Facts, evidence: str) -> None:
    assert outcome(asked, known) == Outcome("it", asked.kind, "failed", evidence)


@pytest.mark.parametrize("kind", ["available", "hashed", "findings", "paths", "formats", "size"])
def test_a_rule_over_files_that_are_not_there_is_not_applicable(kind: str) -> None:
    told = outcome(rule(kind, where=["*.gguf"]), facts(WEIGHTS))
    assert (told.verdict, told.evidence) == ("not-applicable", "no file matches *.gguf")


@pytest.mark.parametrize("kind", ["available", "hashed", "findings", "paths", "formats", "size"])
def test_without_any_declared_file_such_a_rule_fails(kind: str) -> None:
    assert outcome(rule(kind, where=["*.gguf"]), facts()).verdict == "failed"


@pytest.mark.parametrize("kind", ["available", "hashed", "findings"])
def test_a_file_that_was_never_uploaded_fails_what_is_judged_by_its_bytes(kind: str) -> None:
    # Given a version of two files, one of which nothing is known of
    known = facts(WEIGHTS, files=(WEIGHTS.declared, declared("lost.gguf")))
    told = outcome(rule(kind), known)
    assert (told.verdict, told.evidence) == ("failed", "lost.gguf was never uploaded")


def test_of_many_failures_some_are_named_and_all_are_counted() -> None:
    known = facts(*[file(declared(f"{'d' * 200}/{number:03}.bin"), state=State.SCANNING) for number in range(300)])
    told = outcome(rule("available"), known)
    assert told.evidence.endswith("; and 295 more")
    assert len(told.evidence) <= LONGEST_EVIDENCE


# ---- The verdict


def test_the_verdict_is_failed_as_soon_as_one_rule_is() -> None:
    assert judged([rule("available"), rule("signed")], facts(WEIGHTS)).verdict == "failed"
    assert judged([rule("available"), rule("size", where=["*.gguf"])], facts(WEIGHTS)).verdict == "passed"


def test_nothing_that_applies_is_no_pass() -> None:
    assert judged([rule("size", where=["*.gguf"])], facts(WEIGHTS)).verdict == "failed"
    assert judged([], facts(WEIGHTS)).verdict == "failed"


def test_a_rule_that_breaks_is_a_failure_with_its_reason() -> None:
    # Given facts that are not what they should be
    class Broken(dict[str, Any]):
        def get(self, *_: Any) -> Any:
            raise RuntimeError("a secret of the table's")

    # When a rule meets them, Then it has failed, with no more than the kind of error; and the others are judged
    report = judged([rule("license"), rule("available")], facts(WEIGHTS, metadata=Broken()))
    assert [(one.verdict, one.evidence) for one in report.outcomes] == [
        ("failed", "could not be judged: RuntimeError"),
        ("passed", "all 1 files are AVAILABLE"),
    ]
    assert report.verdict == "failed"


@given(
    st.lists(st.sampled_from(list(State)), max_size=4),
    st.booleans(),
    st.sampled_from([(), (QUIET,), (EVIL,)]),
    st.sampled_from([{}, {"license": "mit"}]),
)
def test_the_default_rules_pass_only_what_is_served_hashed_clean_and_licensed(
    states: list[State], hashed: bool, findings: Any, metadata: Any
) -> None:
    files = [
        file(
            declared(f"{number}.safetensors"),
            state=state,
            findings=findings,
            **({} if hashed else {"verified_sha256": None}),
        )
        for number, state in enumerate(states)
    ]
    good = bool(states) and set(states) == {State.AVAILABLE} and hashed and findings != (EVIL,) and bool(metadata)
    assert (judged(rules.DEFAULTS, facts(*files, metadata=metadata)).verdict == "passed") is good


@pytest.mark.parametrize("path", ["run.sh", "bin/tool.exe", "lib/x.so", "bin/TOOL.EXE", "Run.Sh"])
def test_programs_fail_the_default_rules(path: str) -> None:
    report = judged(rules.DEFAULTS, facts(WEIGHTS, file(declared(path)), metadata=LICENSED))
    assert [one.rule for one in report.outcomes if one.verdict == "failed"] == ["no-programs"]


# ---- What a request may ask


@pytest.mark.parametrize(
    "asked",
    [
        {"name": "x", "kind": "python", "code": "__import__('os')"},
        {"name": "x", "kind": "regex", "pattern": "(a+)+$"},
        {"name": "x"},
        {"kind": "available"},
        {"name": "X y", "kind": "available"},
        {"name": "x", "kind": "available", "exec": "1"},
        {"name": "x", "kind": "formats", "allow": ["docx"]},
        {"name": "x", "kind": "paths", "deny": ["*" * 129]},
        {"name": "x", "kind": "paths", "deny": ["a"] * 65},
        {"name": "x", "kind": "paths", "where": ["a"] * 20, "allow": ["a"] * 20, "deny": ["a"] * 25},
        {"name": "x", "kind": "required-files", "where": ["a"], "patterns": ["a"]},
        {"name": "x", "kind": "size", "most_bytes": -1},
        {"name": "x", "kind": "metadata", "required": []},
        {"name": "x", "kind": "groups", "any_of": ["g"], "groups": ["g"]},
    ],
)
def test_no_other_rules_are_taken(asked: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RulesAsked.model_validate({"rules": [asked]})


def test_there_are_no_more_kinds_than_are_judged_and_told() -> None:
    assert set(rules.KINDS) == {
        *("available", "hashed", "findings", "paths", "formats", "size", "count", "required-files", "metadata"),
        *("license", "groups", "signed"),
    }
    with pytest.raises(ValidationError):
        RulesAsked.model_validate({"rules": [{"name": f"r{number}", "kind": "signed"} for number in range(33)]})


@pytest.mark.parametrize("pattern", ["*" * 128, "*a" * 64, "[" * 128, "?*" * 64, "[!a]*" * 25, f"*{'a' * 120}c"])
def test_no_pattern_hangs(pattern: str) -> None:
    # Given the worst that a request may send, against long paths that almost match
    files = [declared(f"{number:03}{'a' * 500}b") for number in range(20)]
    known = Facts(served(files=files), Manifest(tuple(files)), {}, frozenset())

    # When it is judged, Then it is judged: an expression that backtracks would not end before the test is ended
    assert outcome(rule("paths", deny=[pattern]), known).verdict in {"passed", "failed"}


# ---- The use case


@pytest.fixture
def stored(store: Store) -> Version:
    """A version that the default rules pass."""
    made = served(metadata={"license": "mit"})
    put(store, package(), made)
    store.table.put(file_item(file(declared())))
    return made


def test_the_report_is_kept_with_the_version_and_audited(
    store: Store, client: Counted, clock: Clock, stored: Version
) -> None:
    # When Ann validates her version
    report = validate("Bert_Base", "1.0.0", [], asker(), store, clock)

    # Then the report is answered, and stored on the version, which is otherwise as it was
    assert (report["verdict"], report["by"]) == ("passed", ANN)
    assert [one["rule"] for one in report["rules"]] == [one.name for one in rules.DEFAULTS]
    assert report_view(report).verdict == "passed"
    found = store.version("bert-base", "1.0.0")
    assert found is not None
    assert found.validation == report
    assert replace(found, validation=None) == replace(stored, revision=2)
    assert audited(client) == [("version.validated", ANN, "bert-base", "1.0.0")]


@pytest.mark.usefixtures("stored")
def test_a_request_adds_rules_and_takes_none_away(store: Store, clock: Clock) -> None:
    report = validate("bert-base", "1.0.0", [rule("signed")], asker(), store, clock)
    assert report["verdict"] == "failed"
    assert [one["rule"] for one in report["rules"]] == [*[one.name for one in rules.DEFAULTS], "it"]


@pytest.mark.parametrize("names", [["all-hashed"], ["it", "it"]])
@pytest.mark.usefixtures("stored")
def test_two_rules_have_two_names(store: Store, client: Counted, clock: Clock, names: list[str]) -> None:
    added = [rule("signed").model_copy(update={"name": name}) for name in names]
    with pytest.raises(Invalid) as refused:
        validate("bert-base", "1.0.0", added, asker(), store, clock)
    assert refused.value.errors[0].field == f"rules.{len(names) - 1}.name"
    assert audited(client) == []


@pytest.mark.usefixtures("stored")
def test_groups_are_those_of_the_log_in(store: Store, clock: Clock) -> None:
    member = validate("bert-base", "1.0.0", [rule("groups", any_of=["ml"])], asker(groups=("ml",)), store, clock)
    stranger = validate("bert-base", "1.0.0", [rule("groups", any_of=["ml"])], asker(), store, clock)
    assert (member["verdict"], stranger["verdict"]) == ("passed", "failed")


@pytest.mark.usefixtures("stored")
def test_only_the_owner_and_admins_validate(store: Store, client: Counted, clock: Clock) -> None:
    with pytest.raises(NotTheOwner):
        validate("bert-base", "1.0.0", [], asker(BOB), store, clock)
    assert audited(client) == []
    assert validate("bert-base", "1.0.0", [], admin(), store, clock)["verdict"] == "passed"


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("bert-base", "2.0.0", VersionNotFound),
        ("bert-base", "latest", VersionNotFound),
        ("gpt", "1.0.0", PackageNotFound),
    ],
)
@pytest.mark.usefixtures("stored")
def test_what_is_not_there_is_not_validated(
    store: Store, clock: Clock, name: str, text: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        validate(name, text, [], asker(), store, clock)


def test_a_deleted_version_is_not_there(store: Store, clock: Clock) -> None:
    put(store, package(), version(state=State.REJECTED))
    with pytest.raises(VersionNotFound):
        validate("bert-base", "1.0.0", [], asker(), store, clock)


def test_what_changes_meanwhile_is_judged_anew(
    store: Store, client: Counted, clock: Clock, time: Time, stored: Version
) -> None:
    # Given a version whose file is quarantined between reading and writing
    def quarantine() -> None:
        bad = replace(stored, state=State.QUARANTINED, quarantined=1, revision=2, updated_at=NOON)
        put(store, package(), bad)
        store.table.put(file_item(file(declared(), state=State.QUARANTINED, findings=(EVIL,))))

    Meanwhile(client, "transact_write_items", quarantine)

    # When it is validated, Then the report is of what is there now, and nothing is undone
    report = validate("bert-base", "1.0.0", [], asker(), store, clock)
    assert report["verdict"] == "failed"
    found = store.version("bert-base", "1.0.0")
    assert found is not None
    assert (found.state, found.revision, found.validation) == (State.QUARANTINED, 3, report)
    assert len(audited(client)) == 1

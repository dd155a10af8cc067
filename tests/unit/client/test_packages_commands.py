"""Listing, showing, validating and verifying packages."""

import json
from pathlib import Path

import pytest

from client import exits
from tests.unit.client.fake_registry import Registry
from tests.unit.client.typing_in import packages, quick, write

pytestmark = pytest.mark.usefixtures("quick")
__all__ = ["quick"]


@pytest.fixture
def model(registry: Registry, tmp_path: Path) -> Path:
    """A folder that was pushed as bert 1.0.0."""
    write(tmp_path / "model" / "weights.bin", b"weights")
    write(tmp_path / "model" / "sub" / "vocab.txt", b"hello")
    about = ("--description", "small [bold]", "--tag", "nlp", "--metadata", "license=mit")
    code, told = packages(registry, "push", tmp_path / "model", "--name", "bert", "--version", "1.0.0", *about)
    assert code == exits.PASSED, told
    registry.asked.clear()
    return tmp_path / "model"


@pytest.mark.usefixtures("model")
def test_packages_are_listed(registry: Registry) -> None:
    # When packages are asked for / Then each is a line, and what is in it is no markup
    code, told = packages(registry, "list")
    assert code == exits.PASSED
    assert "small [bold]" in told
    assert {"bert", "1.0.0", "nlp"} <= set(told.split())
    assert json.loads(packages(registry, "list", "--json")[1])[0]["name"] == "bert"
    assert "No package is found" in packages(registry, "list", "--name", "gpt")[1]


@pytest.mark.usefixtures("model")
def test_filters_are_the_registrys_to_judge(registry: Registry) -> None:
    seen: list[dict[str, str]] = []
    registry.packages = lambda query: seen.append(query) or []  # type: ignore[assignment, func-returns-value]
    filters = ("--name", "b", "--pattern", "b-*", "--owner", "ann", "--tag", "t")
    assert packages(registry, "list", "small words", *filters)[0] == exits.PASSED
    told = {"query": "small words", "name": "b", "pattern": "b-*", "owner": "ann", "tag": "t"}
    assert {name: seen[0][name] for name in told} == told


@pytest.mark.usefixtures("model")
def test_a_package_and_a_version_are_shown(registry: Registry) -> None:
    told = packages(registry, "show", "bert")[1]
    assert "latest is 1.0.0" in told
    told = packages(registry, "show", "bert", "latest")[1]
    for words in ("bert 1.0.0", "AVAILABLE", "sub/vocab.txt", "license: mit"):
        assert words in told
    assert json.loads(packages(registry, "show", "bert", "1.0.0", "--json")[1])["state"] == "AVAILABLE"
    assert json.loads(packages(registry, "show", "bert", "--json")[1])["versions"][0]["version"] == "1.0.0"


@pytest.mark.usefixtures("model")
def test_a_report_tells_each_rule(registry: Registry) -> None:
    code, told = packages(registry, "validate", "bert", "1.0.0")
    assert code == exits.FAILED
    for words in ("license", "failed", "none is named"):
        assert words in told


@pytest.mark.usefixtures("model")
def test_an_alias_is_held_against_the_rules(registry: Registry) -> None:
    # Given the rules' route, which takes a version alone / When an alias is named / Then its version is asked for
    registry.asked.clear()
    code, told = packages(registry, "validate", "bert", "latest")
    assert (code, "none is named" in told) == (exits.FAILED, True)
    assert registry.count("POST /v1/packages/bert/1.0.0/validate") == 1
    assert registry.count(".*latest/validate") == 0


@pytest.mark.usefixtures("model")
def test_who_names_what_is_not_there_is_told_where_to_look(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = packages(registry, "show", "bert", "9.9.9")
    assert code == exits.FAILED
    told += capsys.readouterr().err
    assert "weir packages show NAME" in told
    assert "address of the API" not in told


def test_a_folder_that_is_the_same_passes(registry: Registry, model: Path) -> None:
    registry.signatures["bert", "1.0.0"] = {
        "trusted": ["key-1"],
        "keys": ["key-1"],
        "signed_at": "2026-11-21T00:00:00Z",
    }
    code, told = packages(registry, "verify", model, "bert")
    assert code == exits.PASSED
    assert "2 of 2 files are the same" in told
    assert "verified with the key key-1" in told


@pytest.mark.parametrize(
    ("signature", "told"),
    [(None, "not signed"), ({"trusted": [], "keys": ["k"], "signed_at": "2026"}, "no key that is registered")],
)
def test_a_signature_is_told_as_it_is(
    registry: Registry, model: Path, signature: dict[str, object] | None, told: str
) -> None:
    if signature:
        registry.signatures["bert", "1.0.0"] = signature
    assert told in packages(registry, "verify", model, "bert", "1.0.0")[1]


def test_whatever_differs_is_told(registry: Registry, model: Path) -> None:
    # Given a folder with a file too many, one too few, one changed, and one of another length
    for name in ("longer", "changed", "missing"):
        write(model / name, b"12345")
    packages(registry, "push", model, "--name", "bert", "--version", "2.0.0")
    write(model / "longer", b"123456")
    write(model / "changed", b"12346")
    write(model / "extra", b"x")
    (model / "missing").unlink()

    # When it is verified / Then each is named, and the command fails
    code, told = packages(registry, "verify", model, "bert", "2.0.0")
    assert code == exits.FAILED
    for words in ("differs longer", "differs changed", "extra   extra", "missing missing", "2 of 6 files are the same"):
        assert words in told

    # And a program is told the same
    found = json.loads(packages(registry, "verify", model, "bert", "2.0.0", "--json")[1])
    verdicts = {one["path"]: one["verdict"] for one in found["files"]}
    assert found["same"] is False
    assert (verdicts["changed"], verdicts["extra"], verdicts["missing"]) == ("differs", "extra", "missing")


def test_what_is_not_there_is_told(registry: Registry, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert packages(registry, "verify", model, "bert", "9.9.9")[0] == exits.FAILED
    assert "version-not-found" in capsys.readouterr().err


def test_json_of_a_push_is_all_that_is_on_standard_output(registry: Registry, model: Path) -> None:
    code, told = packages(registry, "push", model, "--name", "bert", "--version", "1.0.0", "--json")
    assert code == exits.PASSED
    assert json.loads(told)["state"] == "AVAILABLE"

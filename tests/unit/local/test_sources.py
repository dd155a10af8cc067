from collections.abc import Callable
from pathlib import Path

import pytest

from local.sources import fingerprint

NAMES = ("template.yaml", "functions")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "functions" / "health").mkdir(parents=True)
    (tmp_path / "functions" / "health" / "handler.py").write_text("a = 1\n")
    (tmp_path / "template.yaml").write_text("Resources: {}\n")
    return tmp_path


def of(tree: Path, *also: str) -> str:
    return fingerprint(NAMES, *also, root=tree)


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "functions" / "health" / "handler.py").write_text("a = 2\n"),
        lambda tree: (tree / "functions" / "new.py").write_text(""),
        lambda tree: (tree / "template.yaml").rename(tree / "functions" / "template.yaml"),
    ],
    ids=["edited", "added", "moved"],
)
def test_a_change_shows(tree: Path, change: Callable[[Path], object]) -> None:
    # Given a tree
    before = of(tree)
    # When a file is edited, added or moved
    change(tree)
    # Then the fingerprint is another
    assert of(tree) != before


def test_what_is_not_deployed_does_not_show(tree: Path) -> None:
    # Given a tree
    before = of(tree)
    # When bytecode and files outside it appear
    (tree / "functions" / "__pycache__").mkdir()
    (tree / "functions" / "__pycache__" / "handler.pyc").write_bytes(b"x")
    (tree / "README.md").write_text("x")
    # Then the fingerprint stays
    assert of(tree) == before


def test_the_target_is_part_of_it(tree: Path) -> None:
    # Given one tree, When it is built for two interpreters, Then the fingerprints differ
    assert of(tree, "3.11") != of(tree, "3.13")

"""What the README and the guides point at is there."""

import re
from pathlib import Path

import pytest

from client.target import REPOSITORY
from client.weir import main

GUIDES = sorted((REPOSITORY / "docs" / "guides").glob("*.md"))
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


def anchors(file: Path) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    titles = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("file", [REPOSITORY / "README.md", *GUIDES], ids=lambda file: file.name)
def test_every_link_leads_somewhere(file: Path) -> None:
    found = LINK.findall(file.read_text())
    for place, anchor in found:
        target = (file.parent / place).resolve() if place else file
        assert target.exists(), place
        assert not anchor or anchor in anchors(target), f"{place}#{anchor}"


def test_the_readme_knows_every_guide() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    assert GUIDES
    assert all(f"docs/guides/{guide.name}" in readme for guide in GUIDES)


def test_the_readme_shows_commands_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    # Given the command lines of the README
    readme = (REPOSITORY / "README.md").read_text()
    shown = set(re.findall(r"(?:^|\s)weir (demo|run|runs|show|report|stop|health)\b", readme))

    # Then each is one, and none is forgotten
    main(["--help"])
    help_text = capsys.readouterr().out
    assert shown == {"demo", "run", "runs", "show", "report", "stop", "health"}
    assert all(re.search(rf"^  {command} ", help_text, re.MULTILINE) for command in shown)
